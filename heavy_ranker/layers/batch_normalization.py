"""Batch normalization with the reference's running statistics (arXiv 1502.03167)."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

EPSILON = 1e-5


class BatchNormalization(keras.layers.Layer):
  """(x - mean) / sqrt(var + 1e-5) * gamma + beta over the batch, for inputs [batch, width].

  Training normalizes with the batch's biased variance and moves the running variance towards
  the unbiased one, as PyTorch does; inference uses the running statistics.

  Under a distribution strategy the statistics are those of the global batch, summed over all
  replicas, so that n replicas compute what one replica computes on the whole batch; with
  `synchronized=False` each replica uses its own part, and the running statistics are the mean
  over the replicas.

  Args:
    momentum: weight of the new batch in the running statistics, in (0, 1].
    affine: with a trainable scale (gamma) and offset (beta).
    synchronized: statistics over all replicas.
    name: the layer's name.
  """

  def __init__(
    self,
    momentum: float,
    affine: bool = True,
    synchronized: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name, dtype="float32")  # Whatever the layers around it compute in.
    self._momentum, self._affine, self._synchronized = momentum, affine, synchronized

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates gamma, beta and the running statistics, [width] each."""
    width = (int(input_shape[-1]),)
    self.gamma = self.add_weight("gamma", width, initializer="ones") if self._affine else None
    self.beta = self.add_weight("beta", width, initializer="zeros") if self._affine else None
    self.moving_mean = self._add_statistic("moving_mean", width, "zeros")
    self.moving_variance = self._add_statistic("moving_variance", width, "ones")
    super().build(input_shape)

  def _add_statistic(self, name: str, shape: tuple[int], initializer: str) -> tf.Variable:
    return self.add_weight(
      name,
      shape,
      initializer=initializer,
      trainable=False,
      synchronization=tf.VariableSynchronization.ON_READ,
      aggregation=tf.VariableAggregation.MEAN,
    )

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Normalizes each column; [batch, width] to [batch, width]."""
    if training:
      mean, variance = self._batch_statistics(inputs)
    else:
      mean, variance = self.moving_mean, self.moving_variance
    factor = tf.math.rsqrt(variance + EPSILON)
    if self.gamma is not None:
      factor *= self.gamma
    outputs = (inputs - mean) * factor
    return outputs if self.beta is None else outputs + self.beta

  def _batch_statistics(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    count = tf.cast(tf.shape(inputs)[0], inputs.dtype)
    total, count = self._over_replicas([tf.reduce_sum(inputs, axis=0), count])
    mean = total / count
    (squares,) = self._over_replicas([tf.reduce_sum(tf.square(inputs - mean), axis=0)])
    variance = squares / count
    unbiased = squares / tf.maximum(count - 1.0, 1.0)
    self._move(self.moving_mean, mean)
    self._move(self.moving_variance, unbiased)
    return mean, variance

  def _over_replicas(self, values: list[tf.Tensor]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    if not self._synchronized or context is None or context.num_replicas_in_sync == 1:
      return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

  def _move(self, statistic: tf.Variable, value: tf.Tensor) -> None:
    moved = statistic + (tf.stop_gradient(value) - statistic) * self._momentum
    statistic.assign(moved)

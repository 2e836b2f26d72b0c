"""Dropout whose masks depend on seed, step and replica only, so that a resumed run repeats them."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras


class Dropout(keras.layers.Layer):
  """In training sets a share of the inputs to 0 and scales the rest up (JMLR 15:1929, 2014).

  The masks are stateless functions of a counter that is saved with the model: a run that is
  restored from a checkpoint continues with the masks it would have drawn. Replicas draw masks of
  their own.

  Args:
    rate: the share dropped, in [0, 1).
    seed: seed of the masks.
    name: the layer's name.
  """

  def __init__(self, rate: float, seed: int, name: Optional[str] = None):
    super().__init__(name=name)
    self._rate, self._seed = rate, seed

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates the counter of training calls, a scalar int64."""
    self.calls = self.add_weight(
      "calls",
      (),
      dtype=tf.int64,
      initializer="zeros",
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Drops in training, else returns the inputs; any shape."""
    if not training:
      return inputs
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    call = tf.identity(self.calls)
    with tf.control_dependencies([call]):
      self.calls.assign_add(1)
    seed = tf.random.experimental.stateless_fold_in(
      tf.stack([tf.cast(self._seed, tf.int64), call]), tf.cast(replica, tf.int64)
    )
    return tf.nn.experimental.stateless_dropout(inputs, self._rate, seed)

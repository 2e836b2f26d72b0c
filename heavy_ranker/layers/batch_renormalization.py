"""Batch normalization that trains with what inference will use (Ioffe, arXiv 1702.03275)."""

import tensorflow as tf

from heavy_ranker.layers.batch_normalization import EPSILON, BatchNormalization

# Section 4.1 of the paper: plain batch normalization at first, then the bounds are relaxed.
START_UPDATES = 5_000
LARGEST_R, R_UPDATES = 3.0, 40_000
LARGEST_D, D_UPDATES = 5.0, 25_000


def r_max(updates: tf.Tensor) -> tf.Tensor:
  """Returns the bound of r after so many updates: 1 up to 5,000, then linearly to 3 at 40,000.

  Args:
    updates: any shape, integers; the result has the same shape, float32.
  """
  return 1.0 + (LARGEST_R - 1.0) * _progress(updates, R_UPDATES)


def d_max(updates: tf.Tensor) -> tf.Tensor:
  """Returns the bound of d after so many updates: 0 up to 5,000, then linearly to 5 at 25,000.

  Args:
    updates: any shape, integers; the result has the same shape, float32.
  """
  return LARGEST_D * _progress(updates, D_UPDATES)


def _progress(updates: tf.Tensor, end: int) -> tf.Tensor:
  share = (tf.cast(updates, tf.float32) - START_UPDATES) / (end - START_UPDATES)
  return tf.clip_by_value(share, 0.0, 1.0)


class BatchRenormalization(BatchNormalization):
  """Batch normalization whose training outputs are brought close to those of inference.

  With the batch's mean m and deviation s and the running ones M and S from before this update,
  training computes ((x - m) / s * r + d) * gamma + beta with r = s / S in [1 / r_max, r_max] and
  d = (m - M) / S in [-d_max, d_max], which no gradient passes. Within the bounds that is
  (x - M) / S, as in inference. The bounds follow the number of updates, which is saved with the
  model.

  Running statistics, replicas and arguments are those of BatchNormalization: unlike the paper, the
  running deviation is the root of a running variance.
  """

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates what BatchNormalization has, and the counter of updates, a scalar int64."""
    self.num_updates = self.add_weight(
      "num_updates",
      (),
      dtype=tf.int64,
      initializer="zeros",
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Normalizes each column; [batch, width] to [batch, width]."""
    if not training:
      return super().call(inputs)
    updates, moving_mean = tf.identity(self.num_updates), tf.identity(self.moving_mean)
    moving_deviation = tf.sqrt(self.moving_variance + EPSILON)
    with tf.control_dependencies([updates, moving_mean, moving_deviation]):
      self.num_updates.assign_add(1)
      mean, variance = self._batch_statistics(inputs)
    deviation = tf.sqrt(variance + EPSILON)
    bound = r_max(updates)
    r = tf.clip_by_value(deviation / moving_deviation, 1.0 / bound, bound)
    bound = d_max(updates)
    d = tf.clip_by_value((mean - moving_mean) / moving_deviation, -bound, bound)
    outputs = (inputs - mean) / deviation * tf.stop_gradient(r) + tf.stop_gradient(d)
    return outputs if self.gamma is None else outputs * self.gamma + self.beta

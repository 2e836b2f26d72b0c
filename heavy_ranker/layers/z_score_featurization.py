"""Raw feature values -> the network's input with statistics from a file (`z_score_log`)."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import ZScoreLogConfig
from heavy_ranker.layers.batch_normalization import BatchNormalization
from heavy_ranker.layers.batch_renormalization import BatchRenormalization
from heavy_ranker.layers.finite import make_safe, replace_non_finite
from heavy_ranker.layers.signed_log import signed_log1p
from tfrecords.statistics_reader import LogStatistics

# Of the new batch in the running statistics; the paper on renormalization and production have it.
MOMENTUM = 0.01
# Deviations below this share of the mean are lost in the rounding of float32.
_RESOLUTION = 1e-6


class ZScoreLog(keras.layers.Layer):
  """Signed log of the continuous features, (x - mean) / std, clip, and the others joined to it.

  The statistics are weights that no gradient changes: checkpoints and exports hold them, and a
  restored model has those it was trained with, whatever the file says by then. A column of
  deviation 0 was constant when the statistics were made; it becomes 0 for every value.

  Args:
    config: clip magnitude, and which normalization follows the z-score, with scale and offset.
    statistics: mean and deviation of each column's log; None for 0 and 1, where a checkpoint's
      weights follow.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.

  Attributes:
    mean, std: the statistics, float32 [n].
    batch_norm: the normalization after the z-score, or None.
  """

  def __init__(
    self,
    config: ZScoreLogConfig,
    statistics: Optional[LogStatistics],
    synchronize_batch_norm: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    self._clip_magnitude, self._statistics = config.clip_magnitude, statistics
    norm = BatchRenormalization if config.use_renorm else BatchNormalization
    self.batch_norm = (
      norm(MOMENTUM, True, synchronize_batch_norm, name="batch_norm")
      if config.use_batch_norm
      else None
    )

  def build(self, input_shapes: Sequence[tf.TensorShape]) -> None:
    """Creates the statistics, [n] each."""
    width = (int(input_shapes[0][-1]),)
    mean, std = "zeros", "ones"
    if self._statistics is not None:
      mean, std = (tf.constant_initializer(values) for values in to_weights(self._statistics))
    self.mean = self.add_weight("mean", width, initializer=mean, trainable=False)
    self.std = self.add_weight("std", width, initializer=std, trainable=False)
    super().build(input_shapes)

  def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
    """Maps continuous [batch, n] and what joins it, [batch, m] each, to [batch, n + m + ...]."""
    continuous, *others = inputs
    net = signed_log1p(replace_non_finite(continuous))
    net = tf.math.divide_no_nan(net - self.mean, self.std)
    if self.batch_norm is not None:
      # Squares of what a tiny deviation makes of a new value would overflow.
      net = self.batch_norm(make_safe(net), training=training)
    net = tf.clip_by_value(net, -self._clip_magnitude, self._clip_magnitude)
    return tf.concat([net, *(make_safe(other) for other in others)], axis=-1)


def to_weights(statistics: LogStatistics) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and deviation as the layer holds them, float32 [n] each.

  A deviation that float32 cannot tell from 0, beside 1 or beside the mean, is 0.
  """
  mean, std = statistics.mean.astype(np.float32), statistics.std.astype(np.float32)
  resolved = std > np.maximum(_RESOLUTION * np.abs(mean), np.finfo(np.float32).tiny)
  return mean, np.where(resolved, std, np.float32(0))

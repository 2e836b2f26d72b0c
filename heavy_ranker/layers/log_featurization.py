"""Raw feature values -> the network's input without statistics (`log1p_abs`, `clip_log1p_abs`)."""

from collections.abc import Sequence
from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.layers.finite import make_safe, replace_non_finite
from heavy_ranker.layers.signed_log import signed_log1p


class LogFeaturization(keras.layers.Layer):
  """Signed log of the continuous features, clipped if asked for, and the others joined to it.

  Args:
    clip_magnitude: bound of the logs; None leaves them as they are.
    name: the layer's name.
  """

  def __init__(self, clip_magnitude: Optional[float] = None, name: Optional[str] = None):
    super().__init__(name=name)
    self._clip_magnitude = clip_magnitude

  def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Maps continuous [batch, n] and what joins it, [batch, m] each, to [batch, n + m + ...]."""
    continuous, *others = inputs
    net = signed_log1p(replace_non_finite(continuous))
    if self._clip_magnitude is not None:
      net = tf.clip_by_value(net, -self._clip_magnitude, self._clip_magnitude)
    return tf.concat([net, *(make_safe(other) for other in others)], axis=-1)

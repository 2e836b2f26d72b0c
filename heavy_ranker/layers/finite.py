"""Values no computation can use, replaced before they spread."""

import tensorflow as tf

# Squares of larger values overflow float32 when a few hundred of them are summed.
LARGEST_SAFE_MAGNITUDE = 1e18


def replace_non_finite(values: tf.Tensor) -> tf.Tensor:
  """Returns `values` with NaN and both infinities replaced by 0; any shape, float."""
  return tf.where(tf.math.is_finite(values), values, tf.zeros_like(values))


def make_safe(values: tf.Tensor) -> tf.Tensor:
  """Returns `values` without non-finite ones and clipped to what can be squared and summed."""
  return tf.clip_by_value(
    replace_non_finite(values), -LARGEST_SAFE_MAGNITUDE, LARGEST_SAFE_MAGNITUDE
  )

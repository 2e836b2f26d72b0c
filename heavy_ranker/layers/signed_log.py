"""The logarithm that keeps signs: counts of very different size become comparable."""

import tensorflow as tf


def signed_log1p(values: tf.Tensor) -> tf.Tensor:
  """Returns sign(x) * log(1 + |x|), element by element; any shape, float."""
  return tf.sign(values) * tf.math.log1p(tf.abs(values))

"""Layer normalization that stays finite for every row (Ba et al., arXiv 1607.06450)."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras


class LayerNormalization(keras.layers.Layer):
  """(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta over the last axis.

  With epsilon 0 a row of equal values has no defined result; here it becomes 0 (then beta), and
  its gradient 0, so that one such row cannot turn a training run into NaN.

  Args:
    epsilon: added to the variance; 0 is allowed.
    center: with a trainable offset, beta.
    scale: with a trainable factor, gamma.
    name: the layer's name.
  """

  def __init__(
    self, epsilon: float = 1e-5, center: bool = True, scale: bool = True, name: Optional[str] = None
  ):
    super().__init__(name=name, dtype="float32")  # Whatever the layers around it compute in.
    self._epsilon, self._center, self._scale = epsilon, center, scale

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates gamma and beta, [width]."""
    width = (int(input_shape[-1]),)
    self.gamma = self.add_weight("gamma", width, initializer="ones") if self._scale else None
    self.beta = self.add_weight("beta", width, initializer="zeros") if self._center else None
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Normalizes each row; [..., width] to [..., width]."""
    centered = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
    outputs = centered * self._inverse_deviation(inputs, variance)
    if self.gamma is not None:
      outputs *= self.gamma
    return outputs if self.beta is None else outputs + self.beta

  def _inverse_deviation(self, inputs: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    if self._epsilon > 0.0:
      return tf.math.rsqrt(variance + self._epsilon)
    # The mean of equal values is often not quite that value, and the variance then not quite 0.
    highest = tf.reduce_max(inputs, axis=-1, keepdims=True)
    lowest = tf.reduce_min(inputs, axis=-1, keepdims=True)
    defined = tf.logical_and(highest > lowest, variance > 0.0)
    # The inner where keeps the gradient of the branch not taken finite as well.
    safe = tf.where(defined, variance, tf.ones_like(variance))
    return tf.where(defined, tf.math.rsqrt(safe), tf.zeros_like(variance))

"""A trainable scale and offset on a tower's logit."""

import tensorflow as tf
import tf_keras as keras


class AffineMap(keras.layers.Layer):
  """scale * x + bias, both trainable scalars.

  Args:
    scale: initial scale.
    bias: initial bias.
    name: the layer's name.
  """

  def __init__(self, scale: float, bias: float, name=None):
    super().__init__(name=name)
    self._initial_scale, self._initial_bias = scale, bias

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates scale and bias, [1] each."""
    constant = keras.initializers.Constant
    self.scale = self.add_weight("scale", (1,), initializer=constant(self._initial_scale))
    self.bias = self.add_weight("bias", (1,), initializer=constant(self._initial_bias))
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps each logit; any shape."""
    return self.scale * inputs + self.bias

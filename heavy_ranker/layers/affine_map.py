"""A trainable scale and offset on a tower's logit."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras


class AffineMap(keras.layers.Layer):
  """scale * x + bias, both trainable scalars.

  Args:
    scale: initial scale.
    bias: initial bias.
    name: the layer's name.
  """

  def __init__(self, scale: float, bias: float, name: Optional[str] = None):
    super().__init__(name=name, dtype="float32")  # Whatever the layers around it compute in.
    self._initial_scale, self._initial_bias = scale, bias

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates scale, [1, 1] (a 1 x 1 matrix, as the reference has it), and bias, [1]."""
    constant = keras.initializers.Constant
    self.scale = self.add_weight("scale", (1, 1), initializer=constant(self._initial_scale))
    self.bias = self.add_weight("bias", (1,), initializer=constant(self._initial_bias))
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps logits [batch, 1]."""
    return self.scale * inputs + self.bias

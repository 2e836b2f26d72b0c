"""Dense layers as the ranker initializes them: Glorot uniform kernels, zero biases."""

from typing import Callable, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.seeds import derive_seed


class Dense(keras.layers.Dense):
  """A Keras Dense layer of inputs [batch, width] that trains faster on CPUs.

  With oneDNN, the gradient of a product's left side, g W', is no faster in two threads than in one
  for many a large W; as a batched product, of a batch of one, it is. Inference is Keras's: exports
  stay free of gradients of our own.
  """

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to [batch, units]."""
    if not training:
      return super().call(inputs)
    outputs = _product(inputs, tf.convert_to_tensor(self.kernel))
    outputs = tf.nn.bias_add(outputs, self.bias)
    return outputs if self.activation is None else self.activation(outputs)


def dense(units: int, name: str, seed: int, activation: Optional[str] = None) -> Dense:
  """Returns a Dense layer whose initial kernel depends on nothing but its seed and name.

  Args:
    units: width of the output.
    name: the layer's name within its parent.
    seed: the parent's seed; siblings differ by name.
    activation: a Keras activation's name, or None.
  """
  initializer = keras.initializers.GlorotUniform(seed=derive_seed(seed, name))
  # One unit is a logit, and a product that small gains nothing from fewer bits.
  dtype = "float32" if units == 1 else None
  return Dense(units, activation, kernel_initializer=initializer, name=name, dtype=dtype)


@tf.custom_gradient
def _product(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
  """Returns inputs [batch, width] times kernel [width, units], and the gradients of both."""

  def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    of_inputs = tf.matmul(upstream[tf.newaxis], kernel[tf.newaxis], transpose_b=True)
    return of_inputs[0], tf.matmul(inputs, upstream, transpose_a=True)

  return tf.matmul(inputs, kernel), gradients

"""Dropout whose masks depend on seed, step and replica only, so that a resumed run repeats them."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.layers.stateless_seed import add_call_counter, next_seed


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
    self.calls = add_call_counter(self)
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Drops in training, else returns the inputs; any shape."""
    if not training:
      return inputs
    seed = next_seed(self.calls, self._seed)
    return tf.nn.experimental.stateless_dropout(inputs, self._rate, seed)

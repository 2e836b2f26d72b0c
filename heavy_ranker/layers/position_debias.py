"""Position bias: what is shown first is engaged with more, whatever it is."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import PositionDebiasConfig
from heavy_ranker.layers.small_embedding import SmallEmbedding
from heavy_ranker.layers.stateless_seed import add_call_counter, next_seed
from heavy_ranker.seeds import derive_seed


class PositionDebias(keras.layers.Layer):
  """An embedding of the position in training, and zeros outside of it.

  The network can put down to the position what is due to it, and is asked without one when it
  serves. So that it knows how to do without, an example's vector is zeros with `drop_probability`
  in training, too (position dropout as in PAL, RecSys 2019, and YouTube's ranker, RecSys 2019).
  What is dropped depends on seed, step and replica only, as in `Dropout`; nothing is scaled up.

  Args:
    config: rows, width, column and probability.
    seed: seed of the initial values and of what is dropped.
    name: the layer's name.

  Attributes:
    positions: the table; positions below 0 or from `max_position` on share its last row.
  """

  def __init__(self, config: PositionDebiasConfig, seed: int, name: Optional[str] = None):
    super().__init__(name=name)
    self._drop_probability, self._num_dims = config.drop_probability, config.num_dims
    self._seed = derive_seed(seed, "drop")
    self.positions = SmallEmbedding(
      config.max_position,
      config.num_dims,
      config.position_feature_index,
      derive_seed(seed, "positions"),
      name="positions",
    )

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates the table and the counter of training calls, `calls`, a scalar int64."""
    with tf.name_scope(self.positions.name):
      self.positions.build(input_shape)
    self.calls = add_call_counter(self)
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps discrete features, int64 [batch, n], to [batch, num_dims]."""
    batch = tf.shape(inputs)[0]
    if not training:
      return tf.zeros([batch, self._num_dims])
    vectors = self.positions(inputs)
    drawn = tf.random.stateless_uniform([batch, 1], next_seed(self.calls, self._seed))
    return tf.where(drawn >= self._drop_probability, vectors, tf.zeros_like(vectors))

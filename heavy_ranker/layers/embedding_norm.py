"""Ready-made embeddings on their way into the network."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.layers.finite import make_safe
from heavy_ranker.layers.layer_normalization import LayerNormalization


class EmbeddingNorm(keras.layers.Layer):
  """Layer normalization (epsilon 1e-5) of an embedding whose non-finite values count as 0.

  Args:
    name: the layer's name.

  Attributes:
    layer_norm: the normalization, with gamma and beta.
  """

  def __init__(self, name: Optional[str] = None):
    super().__init__(name=name)
    self.layer_norm = LayerNormalization(name="layer_norm")

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps [batch, width] to [batch, width]."""
    return self.layer_norm(make_safe(inputs))

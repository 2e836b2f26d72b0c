"""Deep learning recommendation model (Naumov et al., arXiv 1906.00091)."""

from collections.abc import Sequence
from typing import Optional

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from heavy_ranker.config.model import DlrmConfig
from heavy_ranker.layers.mlp import Mlp
from heavy_ranker.seeds import derive_seed


class Dlrm(keras.layers.Layer):
  """A bottom MLP brings the dense features to the embeddings' width; all pairs interact.

  The dot products of all pairs out of (bottom MLP's output, embeddings) are joined to the bottom
  MLP's output and go through the top MLP.

  Args:
    config: the two MLPs; the bottom one ends in the embeddings' width.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics of the MLPs over all replicas.
    name: the layer's name.

  Attributes:
    bottom_mlp, top_mlp: the two MLPs.
  """

  def __init__(
    self,
    config: DlrmConfig,
    seed: int,
    synchronize_batch_norm: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    self.bottom_mlp = Mlp(
      config.bottom_mlp, derive_seed(seed, "bottom_mlp"), synchronize_batch_norm, name="bottom_mlp"
    )
    self._interaction = tfrs.layers.feature_interaction.DotInteraction(name="interaction")
    self.top_mlp = Mlp(
      config.top_mlp, derive_seed(seed, "top_mlp"), synchronize_batch_norm, name="top_mlp"
    )

  def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
    """Maps dense features [batch, n] and embeddings [batch, d] each to the top MLP's width."""
    dense, *embeddings = inputs
    bottom = self.bottom_mlp(dense, training=training)
    pairs = self._interaction([bottom, *embeddings])
    vectors = 1 + len(embeddings)
    pairs.set_shape([None, vectors * (vectors - 1) // 2])
    return self.top_mlp(tf.concat([bottom, pairs], axis=-1), training=training)

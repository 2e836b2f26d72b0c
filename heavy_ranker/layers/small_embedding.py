"""Embeddings of features with few values: one column of `discrete` each."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.layers.embedding_table import add_table, rows_in_range


class SmallEmbedding(keras.layers.Layer):
  """Looks up one column of the discrete features in a table.

  Values below 0 or from `num_embeddings` on share one more row, the last, which is trained like
  the others.

  Args:
    num_embeddings: values 0 to num_embeddings - 1 have a row each.
    embedding_dim: width of the embedding.
    index: the column.
    seed: seed of the initial values.
    name: the layer's name.
    l2: factor of the sum of the table's squares in the loss.

  Attributes:
    embeddings: the table, [num_embeddings + 1, embedding_dim].
  """

  def __init__(
    self,
    num_embeddings: int,
    embedding_dim: int,
    index: int,
    seed: int,
    name: Optional[str] = None,
    l2: float = 0.0,
  ):
    super().__init__(name=name)
    self._num_embeddings, self._embedding_dim = num_embeddings, embedding_dim
    self._index, self._seed, self._l2 = index, seed, l2

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates the table."""
    self.embeddings = add_table(
      self, "embeddings", self._num_embeddings, self._embedding_dim, self._seed, self._l2
    )
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps discrete features, int64 [batch, n], to [batch, embedding_dim]."""
    rows = rows_in_range(inputs[:, self._index], self._num_embeddings)
    return tf.gather(self.embeddings, rows)

"""Embeddings of sparse ids, such as users and authors."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import LargeEmbeddingTable
from heavy_ranker.layers.embedding_table import add_table
from heavy_ranker.layers.vocabulary import Vocabulary

# What a record without the feature reads as.
ABSENT_ID = 0


class LargeEmbedding(keras.layers.Layer):
  """Looks ids up in a table; several ids of one example are averaged.

  With `vocab`, an id's row is its line in that list and all others share the last row. Without,
  the row is a hash of the id, see `hashed_rows`; ids may share one.

  Args:
    config: the table; its files are read by `heavy_ranker.training.initial_tables`.
    seed: seed of the initial values.
    name: the layer's name, see `large_embedding_name`.

  Attributes:
    config: the table.
    embeddings: the table, [num_embeddings + 1, embedding_dim].
    vocabulary: the ids that have rows, or None.
  """

  def __init__(self, config: LargeEmbeddingTable, seed: int, name: Optional[str] = None):
    super().__init__(name=name)
    self.config, self._seed = config, seed
    self.vocabulary = None
    if config.vocab is not None:
      self.vocabulary = Vocabulary(config.num_embeddings, name="vocabulary")

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates the table; its name tells how ids find their rows."""
    name = "hashed_embeddings" if self.vocabulary is None else "listed_embeddings"
    self.embeddings = add_table(
      self, name, self.config.num_embeddings, self.config.embedding_dim, self._seed
    )
    super().build(input_shape)

  def rows_of(self, ids: tf.Tensor) -> tf.Tensor:
    """Returns the row of each id; int64 of any shape."""
    if self.vocabulary is not None:
      return self.vocabulary(ids)
    return hashed_rows(ids, self.config.num_embeddings)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps ids, int64 [batch, k], to [batch, embedding_dim]."""
    return tf.reduce_mean(tf.gather(self.embeddings, self.rows_of(inputs)), axis=1)


def large_embedding_name(table_name: str) -> str:
  """Returns the layer's name in the model, by the table's."""
  return f"large_embedding.{table_name}"


def hashed_rows(ids: tf.Tensor, num_embeddings: int) -> tf.Tensor:
  """Returns FarmHash64 of each id's decimal digits modulo `num_embeddings`; the last row for 0.

  That is TensorFlow's StringToHashBucketFast, the same on every machine and in every version, and
  what `keras.layers.Hashing` computes.

  Args:
    ids: int64, any shape; ABSENT_ID gets row `num_embeddings`, which no other id gets.
    num_embeddings: rows without the last one.
  """
  rows = tf.strings.to_hash_bucket_fast(tf.strings.as_string(ids), num_embeddings)
  return tf.where(ids == ABSENT_ID, tf.constant(num_embeddings, tf.int64), rows)

"""How long the rows of large tables are, which tells whether they are trained and stay bounded."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import LargeEmbeddingsConfig
from heavy_ranker.layers.large_embedding import large_embedding_name

# So many rows of a table, evenly spread, stand for all of them.
MOST_ROWS = 65_536


class TableLog:
  """Measures the tables that `tables_to_log` names.

  Args:
    ranker: the model from `build_model`.
    config: the section `model.large_embeddings`, or None.
  """

  def __init__(self, ranker: keras.Model, config: Optional[LargeEmbeddingsConfig]):
    names = (config.tables_to_log or ()) if config is not None else ()
    self._tables = {name: ranker.get_layer(large_embedding_name(name)).embeddings for name in names}

  def row_lengths(self) -> dict[str, float]:
    """Returns the mean Euclidean length of a table's rows (of at most MOST_ROWS), by its name."""
    return {name: float(_mean_row_length(table)) for name, table in self._tables.items()}


def _mean_row_length(table: tf.Variable) -> tf.Tensor:
  rows = tf.range(0, table.shape[0], -(-table.shape[0] // MOST_ROWS))
  return tf.reduce_mean(tf.norm(tf.gather(table, rows), axis=1))

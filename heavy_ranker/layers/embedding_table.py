"""What all trained tables share: rows for what the records hold, and one more for the rest."""

import tensorflow as tf
import tf_keras as keras

# Half the width of the interval that initial values are drawn from.
INITIAL_MAGNITUDE = 0.05


def add_table(
  layer: keras.layers.Layer,
  name: str,
  num_embeddings: int,
  embedding_dim: int,
  seed: int,
  l2: float = 0.0,
) -> tf.Variable:
  """Adds a trainable table to a layer: [num_embeddings + 1, embedding_dim] float32.

  The last row is for whatever has none of its own. Initial values are uniform between plus and
  minus INITIAL_MAGNITUDE and depend on nothing but the seed.

  Args:
    layer: the layer that owns the table.
    name: the variable's name within the layer.
    num_embeddings: rows without the last one.
    embedding_dim: width of a row.
    seed: seed of the initial values.
    l2: factor of the sum of the table's squares among the layer's losses.
  """
  initializer = keras.initializers.RandomUniform(-INITIAL_MAGNITUDE, INITIAL_MAGNITUDE, seed)
  shape, penalty = (num_embeddings + 1, embedding_dim), keras.regularizers.L2(l2) if l2 else None
  return layer.add_weight(name, shape, initializer=initializer, regularizer=penalty)


def rows_in_range(ids: tf.Tensor, num_embeddings: int) -> tf.Tensor:
  """Returns each id as its own row, and the last row, `num_embeddings`, for ids out of range.

  Args:
    ids: int64, any shape.
    num_embeddings: ids from 0 to below this have a row.
  """
  known = (ids >= 0) & (ids < num_embeddings)
  return tf.where(known, ids, tf.constant(num_embeddings, ids.dtype))

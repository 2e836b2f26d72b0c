"""Ids -> rows of a table, by a list of the ids that have one."""

from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

_UNUSED = np.iinfo(np.int64).max


class Vocabulary(keras.layers.Layer):
  """The ids a table has rows for, kept as weights: checkpoint and export carry the mapping along.

  Empty at first; `assign` or a checkpoint fills it. Its shapes depend on `size` only, so that a
  checkpoint can be restored without the file the ids came from.

  Args:
    size: how many ids there may be; unknown ids go to row `size`.
    name: the layer's name.

  Attributes:
    ids: int64 [size], in increasing order, unused places last.
    rows: int64 [size], the row of each of `ids`.
  """

  def __init__(self, size: int, name: Optional[str] = None):
    super().__init__(name=name)
    self._size = size

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates the empty list."""
    self.ids = self._add_weight("ids", _UNUSED)
    self.rows = self._add_weight("rows", self._size)
    super().build(input_shape)

  def _add_weight(self, name: str, value: int) -> tf.Variable:
    initializer = keras.initializers.Constant(value)
    return self.add_weight(
      name, (self._size,), dtype=tf.int64, initializer=initializer, trainable=False
    )

  def assign(self, ids: np.ndarray) -> None:
    """Gives each id the row of its position.

    Args:
      ids: int64 [n], n up to `size`, each once.
    """
    sorted_ids, rows = self.arrange(ids)
    self.ids.assign(sorted_ids)
    self.rows.assign(rows)

  def holds(self, ids: np.ndarray) -> bool:
    """Tells whether the mapping is the one that `assign(ids)` makes."""
    sorted_ids, rows = self.arrange(ids)
    same_ids = np.array_equal(self.ids.numpy(), sorted_ids)
    return same_ids and np.array_equal(self.rows.numpy(), rows)

  def arrange(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights `ids` and `rows` for a list of ids."""
    order = np.argsort(ids, kind="stable")
    sorted_ids = np.full(self._size, _UNUSED, np.int64)
    rows = np.full(self._size, self._size, np.int64)
    sorted_ids[: len(ids)], rows[: len(ids)] = ids[order], order
    return sorted_ids, rows

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps ids, int64 of any shape, to rows, int64 of that shape."""
    flat = tf.reshape(inputs, [-1])
    # An unused place that is found, by the largest id there is, leads to the row of unknown ids.
    found = tf.minimum(tf.searchsorted(self.ids, flat), self._size - 1)
    known = tf.equal(tf.gather(self.ids, found), flat)
    rows = tf.where(known, tf.gather(self.rows, found), tf.constant(self._size, tf.int64))
    return tf.reshape(rows, tf.shape(inputs))

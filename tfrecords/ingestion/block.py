"""Some thousand rows of a table, which know where they come from."""

from collections.abc import Callable, Collection
from typing import Any, Optional

import numpy as np
import pyarrow as pa

from tfrecords.config.strict_model import describe
from tfrecords.errors import DataError


class Block:
  """Rows of one file, column by column.

  Args:
    batch: the columns that the mapping reads, as far as the file has them.
    path: the file, for the messages.
    first_row: returns the first row's number in the file, from 1 on; only asked for a message.
    absent: optional columns that the file lacks: all in them is missing.
    rows: where each row stands after the first one, if some are left out.
  """

  def __init__(
    self,
    batch: pa.RecordBatch,
    path: str,
    first_row: Callable[[], int],
    absent: Collection[str] = (),
    rows: Optional[np.ndarray] = None,
  ):
    self._batch, self.path, self._first_row, self._rows = batch, path, first_row, rows
    self.absent = frozenset(absent)

  def __len__(self) -> int:
    return self._batch.num_rows

  def column(self, name: str) -> pa.Array:
    """Returns a column [rows]; nulls where the file lacks it."""
    if name in self.absent:
      return pa.nulls(len(self))
    array = self._batch.column(name)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

  def take(self, rows: np.ndarray) -> "Block":
    """Returns the block of some of the rows, by their places, int64; its errors name the same."""
    places = rows if self._rows is None else self._rows[rows]
    return Block(self._batch.take(pa.array(rows)), self.path, self._first_row, self.absent, places)

  def error(self, row: int, name: str, problem: str, way_out: str) -> DataError:
    """Returns the error about one cell.

    Args:
      row: its place in this block.
      name: its column.
      problem: what is wrong with it; the value stands before it.
      way_out: what is allowed, and what to do.
    """
    value: Any = self.column(name)[row].as_py()
    found = "nothing" if value is None else describe(value)
    return DataError(
      f"{self.path}: row {self._number(row)}, column {name!r}: found {found}{problem}, {way_out}"
    )

  def row_error(self, row: int, problem: str) -> DataError:
    """Returns the error about a whole row, named by its place in this block."""
    return DataError(f"{self.path}: row {self._number(row)}: {problem}")

  def _number(self, row: int) -> int:
    return self._first_row() + int(row if self._rows is None else self._rows[row])

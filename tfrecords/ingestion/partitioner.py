"""Which part of the split each row belongs to."""

import fnmatch
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecords.ingestion import values
from tfrecords.ingestion.block import Block
from tfrecords.ingestion.mapping import Split

NO_PART = -1


class Partitioner:
  """Finds each row's part, by file and by range.

  Args:
    split: the mapping's section.

  Attributes:
    parts: the parts' names, in order.
  """

  def __init__(self, split: Split):
    self.parts = list(split.parts)
    self._split = split
    self._files = {name: part.files for name, part in split.parts.items() if part.files is not None}
    self._ranges = [
      (number, *split.range_of(name))
      for number, name in enumerate(self.parts)
      if name not in self._files
    ]

  def __call__(self, block: Block) -> np.ndarray:
    """Returns the number of each row's part, int64 [rows]; NO_PART where it has none.

    A file that fits the glob of a part belongs to that part as a whole.

    Raises:
      DataError: a cell of the split's column is missing or no number.
    """
    name = os.path.basename(block.path)
    for part, pattern in self._files.items():
      if fnmatch.fnmatchcase(name, pattern):
        return np.full(len(block), self.parts.index(part))
    found = np.full(len(block), NO_PART)
    if not self._ranges:
      return found
    column = self._column(block)
    for number, low, high in self._ranges:
      found[(column >= low) & (column < high)] = number
    return found

  def _column(self, block: Block) -> np.ndarray:
    """Returns whole numbers as int64, so that large times are compared exactly."""
    name, unit = self._split.column, self._split.unit
    array = block.column(name)
    if unit is not None and pa.types.is_temporal(array.type):
      numbers = pc.cast(values.to_unit(array, unit), pa.int64())
    else:
      numbers = values.numbers(block, name)
    if numbers.null_count:
      row = int(np.argmax(numbers.is_null().to_numpy(zero_copy_only=False)))
      raise block.error(row, name, "", "allowed: a number, since split goes by it")
    return numbers.to_numpy(zero_copy_only=False)

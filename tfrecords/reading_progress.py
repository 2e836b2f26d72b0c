"""How far reading has come, in bytes of the files, so that time left is known without counting."""

import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.progress import progress_bar
from tfrecords.record_format import CHECKSUM_BYTES, HEADER_BYTES
from tfrecords.shards import Shard

_SAMPLE_RECORDS = 8
_COMPRESSION_LEVEL = 1


class ReadingProgress:
  """A progress bar over files that are read one after the other; a context manager.

  TensorFlow does not say how much of a compressed file it has taken. That is estimated from how far
  the first records shrink, and put right wherever the next file begins.

  Args:
    shards: the files, in the order of reading.
    description: what is going on, such as "analyzing".
  """

  def __init__(self, shards: Sequence[Shard], description: str):
    sizes = [tf.io.gfile.stat(shard.path).length for shard in shards]
    self._ends = np.cumsum(sizes)
    self._ratio = shrinkage(shards[0]) if shards[0].compression else 1.0
    self._file, self._position = 0, 0.0
    self._bar = progress_bar(int(self._ends[-1]), description, "B")

  def __enter__(self) -> "ReadingProgress":
    return self

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    self._bar.close()

  def advance(self, lengths: np.ndarray, file_numbers: np.ndarray) -> None:
    """Counts a batch of records.

    Args:
      lengths: bytes of each serialized record, [batch].
      file_numbers: which of the files it comes from, [batch], ascending.
    """
    file = int(file_numbers[-1])
    if file != self._file:
      self._file, self._position = file, float(self._ends[file - 1])
    lengths = lengths[file_numbers == file]
    overhead = (HEADER_BYTES + CHECKSUM_BYTES) * len(lengths)
    self._position += (int(lengths.sum()) + overhead) * self._ratio
    self._bar.update(int(min(self._position, self._ends[file])) - self._bar.n)


def shrinkage(shard: Shard) -> float:
  """Returns compressed size / size of a file's first records."""
  records = tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)
  sample = b"".join(records.take(_SAMPLE_RECORDS).as_numpy_iterator())
  return len(zlib.compress(sample, _COMPRESSION_LEVEL)) / max(len(sample), 1)

"""How far reading has come, in bytes of the files, so that time left is known without counting."""

import threading
import zlib
from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.progress import progress_bar
from tfrecords.record_format import CHECKSUM_BYTES, HEADER_BYTES
from tfrecords.shards import Shard

_SAMPLE_RECORDS = 8
_COMPRESSION_LEVEL = 1


class ReadingProgress:
  """A progress bar over files; a context manager, safe to use from threads.

  Files are read one after the other, or several rows of such files side by side.

  TensorFlow does not say how much of a compressed file it has taken. That is estimated from how far
  the first records shrink, and put right wherever the next file begins.

  Args:
    shards: the files, in the order of reading.
    description: what is going on, such as "analyzing".
    sizes: their bytes, if they are known already.
  """

  def __init__(
    self, shards: Sequence[Shard], description: str, sizes: Optional[Sequence[int]] = None
  ):
    if sizes is None:
      sizes = [tf.io.gfile.stat(shard.path).length for shard in shards]
    self._sizes = np.array(sizes, np.float64)
    self._read = np.zeros_like(self._sizes)
    self._ratio = _shrinkage(shards[0]) if shards[0].compression else 1.0
    self._lock = threading.Lock()
    self._bar = progress_bar(sum(sizes), description, "B")

  def __enter__(self) -> "ReadingProgress":
    return self

  def __exit__(self, *error: object) -> None:
    self._bar.close()

  def advance(self, lengths: np.ndarray, file_numbers: np.ndarray, first_file: int = 0) -> None:
    """Counts a batch of records.

    Args:
      lengths: bytes of each serialized record, [batch].
      file_numbers: which of the files it comes from, [batch], ascending.
      first_file: the file that the row begins with; from there on to that of the last record, files
        have been read to their ends.
    """
    if not len(file_numbers):
      return
    last = int(file_numbers[-1])
    lengths = lengths[file_numbers == last]
    n_bytes = int(lengths.sum()) + (HEADER_BYTES + CHECKSUM_BYTES) * len(lengths)
    with self._lock:
      self._read[first_file:last] = self._sizes[first_file:last]
      self._read[last] = min(self._read[last] + n_bytes * self._ratio, self._sizes[last])
      self._show()

  def finish(self, file_numbers: range) -> None:
    """Counts files as read to their ends."""
    files = slice(file_numbers.start, file_numbers.stop)
    with self._lock:
      self._read[files] = self._sizes[files]
      self._show()

  def _show(self) -> None:
    self._bar.update(int(self._read.sum()) - self._bar.n)


def _shrinkage(shard: Shard) -> float:
  """Returns compressed size / size of a file's first records."""
  records = tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)
  sample = b"".join(records.take(_SAMPLE_RECORDS).as_numpy_iterator())
  return len(zlib.compress(sample, _COMPRESSION_LEVEL)) / max(len(sample), 1)

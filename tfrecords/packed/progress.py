"""How far packing has come, over files that are read side by side."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Optional

import numpy as np

from tfrecords.progress import progress_bar
from tfrecords.reading_progress import shrinkage
from tfrecords.record_format import CHECKSUM_BYTES, HEADER_BYTES
from tfrecords.shards import Shard


class PackingProgress:
  """A progress bar in bytes of the files read; a context manager, safe to use from threads.

  What of a compressed file has been read is estimated, and put right at its end.

  Args:
    files: what is read.
    sizes: their bytes.
  """

  def __init__(self, files: Sequence[Shard], sizes: Sequence[int]):
    self._sizes = list(sizes)
    self._ratio = shrinkage(files[0]) if files[0].compression else 1.0
    self._read = [0.0] * len(sizes)
    self._lock = threading.Lock()
    self._bar = progress_bar(sum(sizes), "packing", "B")

  def __enter__(self) -> "PackingProgress":
    return self

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    self._bar.close()

  def advance(self, lengths: np.ndarray, file_numbers: np.ndarray) -> None:
    """Counts records: their bytes, and which of the files each is from."""
    with self._lock:
      for file in np.unique(file_numbers):
        of_file = lengths[file_numbers == file]
        read = int(of_file.sum()) + (HEADER_BYTES + CHECKSUM_BYTES) * len(of_file)
        self._set(file, self._read[file] + read * self._ratio)

  def finish(self, file_numbers: range) -> None:
    """Counts files as read to their ends."""
    with self._lock:
      for file in file_numbers:
        self._set(file, self._sizes[file])

  def _set(self, file: int, read: float) -> None:
    before = self._read[file]
    self._read[file] = min(read, self._sizes[file])
    self._bar.update(int(self._read[file]) - int(before))

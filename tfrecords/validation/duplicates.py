"""Records with the same ids, among any number of them, in bounded memory.

Each record is 16 bytes: a hash of its ids of 64 bits, its file and its place. When there are many
they go to disk, dealt out by the hash's first byte, and are looked at one part after the other. Of
n different records, chance makes n^2 / 2^65 look like duplicates: one in 3,000 data sets of a
hundred million.
"""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from tfrecords.errors import StorageError, reason

_ENTRY = np.dtype([("hash", "<u8"), ("file", "<u4"), ("record", "<u4")])
_IN_MEMORY = 4_000_000
_PARTS = 256
_KEPT_PAIRS = 20


@dataclass(frozen=True, order=True)
class Pair:
  """A record that has the ids of an earlier one; files by number, records from 0."""

  file: int
  record: int
  earlier_file: int
  earlier_record: int


@dataclass
class Duplicates:
  """Which records repeat an earlier one's ids.

  Attributes:
    count: how many.
    by_file: file number -> how many in it.
    pairs: the first of them, by file and record.
  """

  count: int = 0
  by_file: Counter = field(default_factory=Counter)
  pairs: list[Pair] = field(default_factory=list)


class DuplicateFinder:
  """Collects records' hashes; a context manager, since it may write a temporary folder.

  Args:
    in_memory: how many records are held before they go to disk.
  """

  def __init__(self, in_memory: int = _IN_MEMORY):
    self._limit = in_memory
    self._pending: list[np.ndarray] = []
    self._n_pending = 0
    self._folder: Optional[tempfile.TemporaryDirectory] = None

  def __enter__(self) -> "DuplicateFinder":
    return self

  def __exit__(self, *error: object) -> None:
    if self._folder is not None:
      self._folder.cleanup()

  def add(self, file: int, positions: np.ndarray, hashes: np.ndarray) -> None:
    """Takes in records of a file.

    Args:
      file: its number.
      positions: their places, int64 [n].
      hashes: of their ids, uint64 [n].

    Raises:
      StorageError: there is no room for the temporary files.
    """
    entries = np.empty(len(hashes), _ENTRY)
    entries["hash"], entries["file"], entries["record"] = hashes, file, positions
    self._pending.append(entries)
    self._n_pending += len(entries)
    if self._n_pending > self._limit:
      self._spill()

  def find(self) -> Duplicates:
    """Returns the duplicates among all that was added.

    Raises:
      StorageError: the temporary files cannot be written or read.
    """
    found = Duplicates()
    if self._folder is None:
      _look_at(np.concatenate(self._pending) if self._pending else np.empty(0, _ENTRY), found)
      return found
    self._spill()
    try:
      for part in range(_PARTS):
        if os.path.exists(self._path(part)):
          _look_at(np.fromfile(self._path(part), _ENTRY), found)
    except OSError as error:
      raise self._error(error) from None
    return found

  def _spill(self) -> None:
    if not self._pending:
      return
    entries = np.sort(np.concatenate(self._pending), order="hash")
    ends = np.searchsorted(entries["hash"] >> np.uint64(56), np.arange(_PARTS), "right")
    try:
      if self._folder is None:
        self._folder = tempfile.TemporaryDirectory(prefix="validate-")
      for part, (start, end) in enumerate(zip([0, *ends[:-1]], ends)):
        if end > start:
          with open(self._path(part), "ab") as file:
            entries[start:end].tofile(file)
    except OSError as error:
      raise self._error(error) from None
    self._pending, self._n_pending = [], 0

  def _path(self, part: int) -> str:
    return os.path.join(self._folder.name, f"{part:03d}")

  def _error(self, error: OSError) -> StorageError:
    folder = self._folder.name if self._folder else tempfile.gettempdir()
    return StorageError(
      f"{folder}: hashes of the records' ids cannot be kept there: {reason(error)}. Choose another "
      "folder with the environment variable TMPDIR (16 bytes a record), or look for no duplicates "
      "with --set SECTION.checks.id_features=[]"
    )


def _look_at(entries: np.ndarray, found: Duplicates) -> None:
  entries = np.sort(entries, order=["hash", "file", "record"])
  repeats = np.flatnonzero(entries["hash"][1:] == entries["hash"][:-1]) + 1
  found.count += len(repeats)
  files, counts = np.unique(entries["file"][repeats], return_counts=True)
  found.by_file.update(dict(zip(files.tolist(), counts.tolist())))
  order = np.lexsort((entries["record"][repeats], entries["file"][repeats]))[:_KEPT_PAIRS]
  for place in repeats[order]:
    _, file, record = entries[place].tolist()
    _, earlier_file, earlier_record = entries[place - 1].tolist()
    found.pairs.append(Pair(file, record, earlier_file, earlier_record))
  found.pairs = sorted(found.pairs)[:_KEPT_PAIRS]

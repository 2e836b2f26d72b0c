"""`ignore_data_errors`: what was left out, counted, with the first ones in words."""

import sys
import threading
from typing import Optional

from tqdm import tqdm

from tfrecords.errors import DataError


class SkippedData:
  """Counts bad records and bad files, each once however often it is read; warns at the first.

  Safe to use from several threads. Counts are of this process: a resumed run starts at 0, and
  records are counted as they are read, which is some time before they would be trained on.

  Args:
    key: the data section's path in the configuration, for the messages.

  Attributes:
    num_records: bad records so far.
    num_lost_bytes: bytes so far, of decompressed files, in which no record can be found.
    num_files: files so far that are damaged, cut short, unreadable or no TFRecord files.
  """

  def __init__(self, key: str = "train_data"):
    self._key = key
    self._lock = threading.Lock()
    self._firsts: dict[str, str] = {}
    # Records of a file are read in order: the last one that was counted tells all of them.
    self._last_positions: dict[str, int] = {}
    self._last_offsets: dict[str, int] = {}
    self._files: set[str] = set()
    self.num_records, self.num_lost_bytes = 0, 0

  @property
  def num_files(self) -> int:
    """Files so far that are damaged, cut short, unreadable or no TFRecord files."""
    return len(self._files)

  def add_record(self, path: str, position: int, reason: str) -> None:
    """Takes note of a record, if it is new."""
    with self._lock:
      if position <= self._last_positions.get(path, -1):
        return
      self._last_positions[path] = position
      self.num_records += 1
      self._note("bad record", f"{path}: record {position}: {reason}")

  def add_lost(self, path: str, offset: int, length: int) -> None:
    """Takes note of bytes that hold no record, if they are new."""
    with self._lock:
      if offset > self._last_offsets.get(path, -1):
        self._last_offsets[path] = offset
        self.num_lost_bytes += length

  def add_file(self, path: str, message: str) -> None:
    """Takes note of a file, if it is new; the message names it."""
    with self._lock:
      if path not in self._files:
        self._files.add(path)
        self._note("bad file", message)

  def summary(self) -> Optional[str]:
    """Returns how much was left out and why the first of it, or None if nothing was."""
    if not self._firsts:
      return None
    firsts = "; ".join(f"the first {kind}: {text}" for kind, text in self._firsts.items())
    lost = f"; {self.num_lost_bytes} bytes hold no whole record" if self.num_lost_bytes else ""
    return (
      f"{self._key}.ignore_data_errors: {self.num_records} bad record(s) left out, and "
      f"{self.num_files} file(s) in part or as a whole; {firsts}{lost}"
    )

  def nothing_left(self) -> DataError:
    """Returns the error to raise when nothing can be used."""
    return DataError(
      f"{self._key}: nothing that can be used was found. {self.summary() or 'The files are empty'}"
    )

  def _note(self, kind: str, message: str) -> None:
    if kind not in self._firsts:
      self._firsts[kind] = message
      tqdm.write(
        f"warning: {self._key}.ignore_data_errors: the first {kind}, left out (others will only "
        f"be counted): {message}",
        file=sys.stderr,
      )

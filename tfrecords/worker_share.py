"""What one of several workers reads of a data section: its files, or its records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tfrecords.errors import ConfigError

_File = TypeVar("_File")


@dataclass(frozen=True)
class WorkerShare:
  """One of several equal parts of the data; all of it by default.

  Each worker has files of its own: those at the places `index`, `index` + `count`, and so on of
  the sorted list. Where there are fewer files than workers, each reads every file and takes every
  `count`-th record of it.

  Attributes:
    index: which part, from 0.
    count: how many parts there are.
    job: what the workers call the job they share at a tf.data service.
  """

  index: int = 0
  count: int = 1
  job: str = ""

  def splits_records(self, files: Sequence[_File]) -> bool:
    """Tells whether records rather than files are dealt out."""
    return len(files) < self.count

  def of_files(self, files: Sequence[_File]) -> list[_File]:
    """Returns the files this worker opens."""
    return list(files) if self.splits_records(files) else list(files[self.index :: self.count])

  def of_records(self, files: Sequence[_File]) -> "WorkerShare":
    """Returns which records of each file it opens are this worker's."""
    return self if self.splits_records(files) else WHOLE

  def of_batch(self, global_batch_size: int, key: str) -> int:
    """Returns how many examples of a global batch this worker reads.

    Raises:
      ConfigError: the workers do not divide it.
    """
    if global_batch_size % self.count:
      raise ConfigError(
        f"{key}.global_batch_size: found {global_batch_size}, allowed: a multiple of {self.count}, "
        "the number of workers that share it"
      )
    return global_batch_size // self.count


WHOLE = WorkerShare()

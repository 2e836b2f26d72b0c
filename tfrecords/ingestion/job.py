"""What all workers of an ingestion share: the mapping, the table, where the work lies."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

from tfrecords.errors import DataError
from tfrecords.ingestion import storage, table_reader
from tfrecords.ingestion.layout import Layout
from tfrecords.ingestion.mapping import Mapping
from tfrecords.ingestion.table_files import Chunk, TableFile

# Another number here, and work begun by an older version is not continued.
_VERSION = 1


@dataclass(frozen=True)
class Job:
  """One table on its way to records.

  Attributes:
    mapping: how the one becomes the other.
    files: the table's.
    chunks: what workers read side by side, in order.
    table_columns: the columns of the first file.
    output: the folder that appears when all is done.
    stamps: when each file was last written, for `digest`.
  """

  mapping: Mapping
  files: Sequence[TableFile]
  chunks: Sequence[Chunk]
  table_columns: Sequence[str]
  output: str
  stamps: Sequence[int] = field(default=())

  @cached_property
  def layout(self) -> Layout:
    """What goes where in a record."""
    return Layout(self.mapping, self.table_columns)

  @cached_property
  def digest(self) -> str:
    """Identifies mapping and files: only work of the same digest is continued."""
    content = {
      "version": _VERSION,
      "mapping": self.mapping.model_dump(mode="json"),
      "files": [asdict(file) for file in self.files],
      "stamps": list(self.stamps),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

  @property
  def work_folder(self) -> str:
    """Where everything is until it is complete: hidden, beside the output."""
    parent, name = os.path.split(self.output.rstrip("/"))
    return os.path.join(parent, f".{name}.ingesting")

  @property
  def staging_folder(self) -> str:
    """What becomes the output."""
    return os.path.join(self.work_folder, "output")

  @property
  def vocabularies_path(self) -> str:
    """The vocabularies, when they are known."""
    return os.path.join(self.work_folder, "vocabularies.json")

  def chunk_path(self, stage: str, number: int, ending: str) -> str:
    """Returns a file that a stage makes of a chunk."""
    return os.path.join(self.work_folder, stage, f"{number:06d}.{ending}")

  def error_path(self, number: int) -> str:
    """Returns where a task leaves word of the error that ended it."""
    return os.path.join(self.work_folder, "errors", f"{number:06d}.json")

  def vocabularies(self) -> dict[str, dict[str, int]]:
    """Returns the number of each category, by the source column."""
    if not self.layout.vocabulary_columns:
      return {}
    found = storage.read_json(self.vocabularies_path)
    return {name: {text: 1 + rank for rank, text in enumerate(of)} for name, of in found.items()}

  def check_files(self) -> None:
    """Looks at every file's columns before any work is put into them.

    Raises:
      DataError: one lacks a column, or has it with another type than an earlier one; names both.
    """
    if self.mapping.format == "jsonl":
      return
    seen: dict[str, tuple[str, str]] = {}
    for file in self.files:
      for name, kind in table_reader.check_columns(self.mapping, file, self.layout.columns).items():
        first, first_kind = seen.setdefault(name, (file.path, kind))
        if kind != first_kind:
          raise DataError(
            f"{file.path}: column {name!r} is of type {kind}, but {first_kind} in {first}; "
            "allowed: one type in all files. Write one of them again"
          )

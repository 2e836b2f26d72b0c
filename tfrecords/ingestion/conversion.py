"""First stage: a chunk of the table -> its records, shuffled block by block, and what was counted.

For each part of the split a chunk leaves its records, one after the other, with a file of their
offsets; and a report, which is written last and says that the chunk is done.
"""

import contextlib
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecords import random_streams
from tfrecords.files import open_file
from tfrecords.ingestion import batch_serialization, storage, table_reader
from tfrecords.ingestion.block import Block
from tfrecords.ingestion.feature_statistics import FeatureStatistics
from tfrecords.ingestion.featurizer import Featurizer
from tfrecords.ingestion.job import Job
from tfrecords.ingestion.labeler import Labeler, kept
from tfrecords.ingestion.mapping import TRAIN
from tfrecords.ingestion.partitioner import NO_PART, Partitioner
from tfrecords.paths import is_remote

STAGE = "records"


class ChunkConverter:
  """A task: makes the records of one chunk.

  Args:
    job: the table.
  """

  def __init__(self, job: Job):
    self._job = job

  def output(self, number: int) -> str:
    """Returns the report of a chunk: where it exists, the task is done."""
    return self._job.chunk_path(STAGE, number, "json")

  def __call__(self, number: int) -> None:
    """Converts a chunk.

    Raises:
      UserError: the chunk holds what cannot be used.
    """
    conversion = _Conversion(self._job, number)
    with conversion:
      for block in table_reader.blocks(
        self._job.mapping,
        self._job.files,
        self._job.chunks[number],
        self._job.layout.columns,
      ):
        conversion.add(block)
    storage.write_json(self.output(number), conversion.report())


class _Conversion(contextlib.ExitStack):
  """The records of one chunk, part by part."""

  def __init__(self, job: Job, number: int):
    super().__init__()
    self._job, self._number = job, number
    self._partition = Partitioner(job.mapping.split)
    self._label = Labeler(job.layout)
    self._featurize = Featurizer(job.layout, job.vocabularies())
    self._statistics: dict[str, FeatureStatistics] = {}
    self._n_rows = self._n_blocks = self._n_without_part = 0
    self._parts: dict[str, _PartOfChunk] = {}

  def add(self, block: Block) -> None:
    """Takes in rows."""
    self._n_rows += len(block)
    parts = self._partition(block)
    self._n_without_part += int(np.count_nonzero(parts == NO_PART))
    for number, name in enumerate(self._partition.parts):
      rows = np.flatnonzero(parts == number)
      if len(rows):
        self._add_part(name, block if len(rows) == len(block) else block.take(rows))
    self._n_blocks += 1

  def report(self) -> dict[str, Any]:
    """Returns everything that was counted, as plain data."""
    return {
      "n_rows": self._n_rows,
      "n_without_part": self._n_without_part,
      "parts": {name: part.report() for name, part in self._parts.items()},
      "statistics": {name: of.to_json() for name, of in self._statistics.items()},
    }

  def _add_part(self, name: str, block: Block) -> None:
    if name not in self._parts:
      self._parts[name] = self.enter_context(_PartOfChunk(self._job, self._number, name))
    part = self._parts[name]
    labels = self._labels(name, block)
    random = self._stream(name)
    # Drawn whether or not anything is left out: other rates keep the order.
    drawn = random.random(len(block))
    sampling = self._job.mapping.downsampling
    rates = sampling.negatives if sampling is not None and name in sampling.parts else {}
    rows = np.flatnonzero(kept(labels, rates, drawn))
    part.count(len(block), labels, rows)
    features = self._featurize(block if len(rows) == len(block) else block.take(rows))
    if name == TRAIN:
      for feature, matrix in features.items():
        if feature not in self._statistics:
          self._statistics[feature] = FeatureStatistics(matrix.shape[1])
        self._statistics[feature].add(matrix)
    features.update({task: of[rows][:, np.newaxis] for task, of in labels.items()})
    records = batch_serialization.serialize(features)
    part.write(records.take(pa.array(random.permutation(len(rows)))))

  def _labels(self, part: str, block: Block) -> dict[str, np.ndarray]:
    if self._job.mapping.split.parts[part].unlabelled:
      return {}
    if not self._label.has_labels(block):
      lacking = sorted(block.absent & self._job.layout.label_columns)
      raise block.row_error(
        0,
        f"of part {part!r}, has no labels, since the file has no column {', '.join(lacking)}; "
        f"allowed: labels, or split.parts.{part}.unlabelled: true for rows nothing is learned or "
        "measured on",
      )
    return self._label(block)

  def _stream(self, part: str) -> np.random.Generator:
    # The chunk's place in the table rather than a path: a table may move.
    key = f"{part}/{self._number}"
    return random_streams.stream(self._job.mapping.output.seed, key, self._n_blocks)


class _PartOfChunk(contextlib.ExitStack):
  """The records a chunk has in one part, as bytes on disk."""

  def __init__(self, job: Job, number: int, name: str):
    super().__init__()
    self._tasks: dict[str, np.ndarray] = {}
    self._rows_of_blocks: list[int] = []
    self._n_rows, self._end = 0, 0
    # Two workers of a cluster may be at the same chunk: each has files of its own, and the report
    # that is written last says which to read.
    self._name = f"{name}.{uuid.uuid4().hex[:8]}"
    paths = [
      job.chunk_path(STAGE, number, f"{self._name}.{ending}") for ending in ("bytes", "offsets")
    ]
    self._path = paths[0]
    self._bytes = self.enter_context(open_file(paths[0], "wb"))
    self._offsets = self.enter_context(open_file(paths[1], "wb"))

  def count(self, n_rows: int, labels: dict[str, np.ndarray], rows: np.ndarray) -> None:
    """Counts [negatives, positives, negatives kept, positives kept] of each task."""
    self._n_rows += n_rows
    for task, values in labels.items():
      counts = np.concatenate([np.bincount(of, minlength=2) for of in (values, values[rows])])
      self._tasks[task] = self._tasks.get(task, 0) + counts

  def write(self, records: pa.LargeBinaryArray) -> None:
    """Appends a block's records."""
    self._rows_of_blocks.append(len(records))
    lengths = pc.binary_length(records).to_numpy(zero_copy_only=False).astype("<i8")
    begins = self._end + np.cumsum(lengths) - lengths
    data = pc.binary_join(_as_list(records), pa.scalar(b"", pa.large_binary()))[0].as_buffer()
    self._end += int(lengths.sum())
    self._offsets.write(begins.astype("<i8").tobytes())
    self._bytes.write(memoryview(data) if not is_remote(self._path) else bytes(data))

  def report(self) -> dict[str, Any]:
    """Returns what was counted."""
    return {
      "name": self._name,
      "n_rows": self._n_rows,
      "rows_of_blocks": self._rows_of_blocks,
      "n_bytes": self._end,
      "tasks": {task: [int(count) for count in of] for task, of in self._tasks.items()},
    }


def _as_list(records: pa.LargeBinaryArray) -> pa.Array:
  offsets = pa.array([0, len(records)], pa.int32())
  return pa.ListArray.from_arrays(offsets, records)

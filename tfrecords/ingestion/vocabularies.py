"""Stage zero, if a vocabulary is asked for: how often each category occurs in the training part."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow.compute as pc

from tfrecords.errors import DataError
from tfrecords.ingestion import storage, table_reader, values
from tfrecords.ingestion.job import Job
from tfrecords.ingestion.mapping import TRAIN
from tfrecords.ingestion.mapping_entries import Vocabulary
from tfrecords.ingestion.partitioner import Partitioner

STAGE = "vocabularies"
# What a vocabulary may hold before it is cut: some gigabytes of memory.
_MOST_CATEGORIES = 20_000_000


class CategoryCounter:
  """A task: counts the categories of one chunk.

  Args:
    job: the table.
  """

  def __init__(self, job: Job):
    self._job = job

  def output(self, number: int) -> str:
    """Returns the counts' file: where it exists, the task is done."""
    return self._job.chunk_path(STAGE, number, "json")

  def __call__(self, number: int) -> None:
    """Counts a chunk's categories.

    Raises:
      UserError: the chunk cannot be read.
    """
    job, counts = self._job, {name: Counter() for name in self._job.layout.vocabulary_columns}
    split = job.mapping.split.column
    columns = sorted({*counts, *([split] if split is not None else [])})
    partition = Partitioner(job.mapping.split)
    train = partition.parts.index(TRAIN)
    for block in table_reader.blocks(job.mapping, job.files, job.chunks[number], columns):
      block = block.take(np.flatnonzero(partition(block) == train))
      for name, counter in counts.items():
        for pair in pc.value_counts(values.texts(block, name)).to_pylist():
          if pair["values"] is not None:
            counter[pair["values"]] += pair["counts"]
    storage.write_json(self.output(number), counts)


def merge(job: Job, chunks: Iterable[int]) -> None:
  """Writes the vocabularies, out of the counts of all chunks.

  Raises:
    DataError: a column holds too many categories.
  """
  counts = {name: Counter() for name in job.layout.vocabulary_columns}
  counter = CategoryCounter(job)
  for chunk in chunks:
    for name, found in storage.read_json(counter.output(chunk)).items():
      counts[name].update(found)
      if len(counts[name]) > _MOST_CATEGORIES:
        raise DataError(
          f"discrete: column {name!r} holds more than {_MOST_CATEGORIES} categories, allowed for a "
          "vocabulary: fewer. Use hash: {buckets: N}"
        )
  chosen = {
    column.source: column.entry.vocabulary
    for column in job.layout.dense["discrete"]
    if column.entry.vocabulary is not None
  }
  found = {name: _rank(counts[name], section) for name, section in chosen.items()}
  storage.write_json(job.vocabularies_path, found)


def _rank(counts: Counter, section: Vocabulary) -> list[str]:
  frequent = [text for text, count in counts.items() if count >= section.min_count]
  return sorted(frequent, key=lambda text: (-counts[text], text))[: section.max_size]

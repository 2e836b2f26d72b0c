"""The records of many files as one dataset, each with its place: shuffled, or in order.

Elements are taken from a file, and handed on by the threads that read files side by side, some at a
time: waking another thread for each costs half of what reading a record does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import tensorflow as tf

from tfrecords import shards
from tfrecords.chunk_reader import ChunkReader
from tfrecords.config.data import DataConfig
from tfrecords.errors import DataError
from tfrecords.record_check import RecordCheck
from tfrecords.record_places import first_place
from tfrecords.sampler import Sampler
from tfrecords.schema import Feature
from tfrecords.skipped_data import SkippedData
from tfrecords.worker_share import WHOLE, WorkerShare

_COUNTED_TOGETHER = 256
# Twice as many of a file wait in memory. The order of records must not depend on the batch size.
_AT_A_TIME = 8
_MOST_PARSED_TOGETHER, _PARSED_BLOCKS_AT_A_TIME = 128, 2


class FileSource:
  """The examples of a data section's files, in the order of training or of evaluation.

  Args:
    config: the section.
    files: its files.
    share: which records of each of them are read.
  """

  def __init__(self, config: DataConfig, files: Sequence[shards.Shard], share: WorkerShare = WHOLE):
    self._config, self._files, self._share = config, files, share

  @property
  def files(self) -> Sequence[shards.Shard]:
    """The files that are read."""
    return self._files

  @property
  def failure(self) -> Optional[DataError]:
    """What reading in Python ended with, if it did."""
    return None

  def in_order(self) -> tf.data.Dataset:
    """Returns every record, file after file."""
    return numbered_files(self._files).flat_map(self._read)

  def batches_in_order(self, size: int) -> tf.data.Dataset:
    """Returns batches in that order, the last one as large as it may be."""
    return self.in_order().batch(size)

  def mapped_in_order(
    self, size: int, function: Callable[..., Any], num_parallel_calls: int
  ) -> tf.data.Dataset:
    """Returns what a function makes of batches in that order.

    Args:
      size: rows a batch, the last one as large as it may be.
      function: of a batch; a row of its results depends on no other row.
      num_parallel_calls: threads that call it.
    """
    batches = self.batches_in_order(size)
    return batches.map(function, num_parallel_calls=num_parallel_calls, deterministic=True)

  def batches_of_file(
    self,
    number: tf.Tensor,
    path: tf.Tensor,
    compression: tf.Tensor,
    size: int,
    first: Optional[tf.Tensor] = None,
  ) -> tf.data.Dataset:
    """Returns batches of one file's examples in their order; for use in a dataset's function.

    Args:
      number: the file's, among `files`.
      path: its path.
      compression: its compression, "" for none.
      size: of a batch; the last one is as large as it may be.
      first: how many of the examples to leave out; none when None.
    """
    examples = self._read(number, path, compression)
    return (examples if first is None else examples.skip(first)).batch(size)

  def shuffled(self) -> tf.data.Dataset:
    """Returns every record once, in another order each time the dataset is read."""
    config = self._config
    side_by_side = config.interleave_num_parallel_calls or config.DEFAULT_INTERLEAVE_FILES
    files, read = numbered_files(self._files), self._read
    # Nothing but the interleave may come behind a shuffle that differs by epoch: a batch, a filter
    # or a flat_map lets go of its input at the end, and a checkpoint of then lacks the seeds.
    if config.file_batch_size is not None:
      files = files.shuffle(
        len(self._files), seed=config.shuffle_seed, reshuffle_each_iteration=False
      ).batch(config.file_batch_size)
      read = self._read_group
    files = files.shuffle(len(self._files), seed=config.shuffle_seed, reshuffle_each_iteration=True)
    records = self._interleaved(files, read, side_by_side, _AT_A_TIME)
    if config.examples_shuffle_buffer_size <= 1:
      return records
    return records.shuffle(
      config.examples_shuffle_buffer_size, seed=config.shuffle_seed, reshuffle_each_iteration=True
    )

  def _dealt(self, examples: tf.data.Dataset, number: tf.Tensor) -> tf.data.Dataset:
    """Leaves the examples of a file to this worker that are its own."""
    if self._share.count == 1:
      return examples
    # Each file begins with another worker, so that short files do not favour the first ones.
    return examples.shard(self._share.count, (self._share.index - number) % self._share.count)

  def _interleaved(
    self,
    files: tf.data.Dataset,
    read: Callable[..., tf.data.Dataset],
    side_by_side: int,
    at_a_time: int,
  ) -> tf.data.Dataset:
    """Returns the examples of files by turns, some of each, of some files at a time."""
    return files.interleave(
      read,
      cycle_length=side_by_side,
      block_length=at_a_time,
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    )

  def _read_group(self, *files: tf.Tensor) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(files).flat_map(self._read)

  def _read(self, number: tf.Tensor, path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
    """Returns a file's examples, one an element, in their order."""
    raise NotImplementedError


class RecordSource(FileSource):
  """Reads the files of a data section.

  Datasets are of (serialized Example, place), both scalars; see `tfrecords.record_places`.

  Args:
    config: the section.
    files: its files.
    features: what is parsed, by name inside the model; the sampler's labels among them.
    check: says which records to leave out.
    skipped: takes note of what is left out; None makes it an error.
    sampler: leaves records out on purpose.
    key: the section's path in the configuration, for the messages.
    share: which of each file's records to read; the others are other workers'.
  """

  def __init__(
    self,
    config: DataConfig,
    files: Sequence[shards.Shard],
    features: Mapping[str, Feature],
    check: RecordCheck,
    skipped: Optional[SkippedData],
    sampler: Sampler,
    key: str,
    share: WorkerShare = WHOLE,
  ):
    super().__init__(config, files, share)
    self._features = features
    self._sampler = sampler
    self._names = shards.names_below_inputs(files, config, key)
    self._chunks: Optional[ChunkReader] = None
    if config.cache or skipped is not None:
      self._chunks = ChunkReader(
        files, check if skipped is not None else None, skipped, config.cache
      )

  @property
  def failure(self) -> Optional[DataError]:
    """What reading in Python ended with, if it did."""
    return self._chunks.failure if self._chunks is not None else None

  def count(self, at_most: int) -> int:
    """Reads the first records; returns how many there are, up to a number."""
    batches = self.in_order().take(at_most).batch(_COUNTED_TOGETHER)
    return sum(len(places) for _, places in batches)

  def mapped_in_order(
    self, size: int, function: Callable[..., Any], num_parallel_calls: int
  ) -> tf.data.Dataset:
    """See FileSource; while a file is read, so are the beginnings of the next ones."""

    def read(*file: tf.Tensor) -> tf.data.Dataset:
      blocks = self._read(*file).batch(min(size, _MOST_PARSED_TOGETHER))
      return blocks.map(function, num_parallel_calls=num_parallel_calls, deterministic=True)

    # One file at a time keeps their order. What is cut anew into batches is parsed: it is smaller,
    # and most batches need no copy.
    blocks = self._interleaved(numbered_files(self._files), read, 1, _PARSED_BLOCKS_AT_A_TIME)
    if _has_ragged(blocks):  # To cut those anew costs more than reading ahead saves.
      return super().mapped_in_order(size, function, num_parallel_calls)
    return blocks.rebatch(size)

  def _read(self, number: tf.Tensor, path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
    if self._chunks is not None:
      records = self._chunks.read(number)
    else:
      records = _placed_records(number, path, compression)
    records = self._dealt(records, number)
    return self._sampler(records, self._features, self._names)


def records_of(files: Sequence[shards.Shard]) -> tf.data.Dataset:
  """Returns every record once, file after file, as (serialized Example, position, file number).

  Both numbers count from 0: the record's place in its file, and the file's among `files`.
  """
  return numbered_files(files).flat_map(numbered_records)


def numbered_files(files: Sequence[shards.Shard]) -> tf.data.Dataset:
  """Returns (number, path, compression) of each file, in their order."""
  # One source, not zipped with a count: a data service deals sources out one by one.
  numbers = tf.range(len(files), dtype=tf.int64)
  return tf.data.Dataset.from_tensor_slices(
    (numbers, [file.path for file in files], [file.compression for file in files])
  )


def numbered_records(number: tf.Tensor, path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
  """Returns a file's (record, position in the file, number of the file), all scalars."""
  return tf.data.Dataset.zip(
    (
      tf.data.TFRecordDataset(path, compression_type=compression),
      tf.data.Dataset.range(tf.int64.max),
      tf.data.Dataset.from_tensors(number).repeat(),
    )
  )


def rebatched(batches: tf.data.Dataset, size: int) -> tf.data.Dataset:
  """Returns the same rows in batches of another size, the last one as large as it may be."""
  # TensorFlow does not rebatch ragged tensors.
  return batches.unbatch().batch(size) if _has_ragged(batches) else batches.rebatch(size)


def _has_ragged(dataset: tf.data.Dataset) -> bool:
  specs = tf.nest.flatten(dataset.element_spec)
  return any(isinstance(spec, tf.RaggedTensorSpec) for spec in specs)


def _placed_records(number: tf.Tensor, path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
  records = tf.data.TFRecordDataset(path, compression_type=compression)
  return tf.data.Dataset.zip((records, tf.data.Dataset.range(first_place(number), tf.int64.max)))

"""Files read in Python, some hundred records at a time: for bad records and for the cache.

TensorFlow's own reader ends a run at the first bad record, and its own cache would be written
into every checkpoint. Here a dataset asks Python for "chunk k of file n". That is a function of
the files alone, so a dataset's position can be saved and restored as if it was TensorFlow's own;
what Python remembers between the calls, open files and cached records, only makes it fast.

Python asks TensorFlow's reader up to the first damage in a file, and from there on
`tfrecords.record_walk`, which finds the records behind it.
"""

import itertools
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from tfrecords import diagnosis
from tfrecords.errors import DataError, reason
from tfrecords.record_check import RecordCheck
from tfrecords.record_places import first_place
from tfrecords.record_walk import Found, Status, walk
from tfrecords.shards import Shard, compression
from tfrecords.skipped_data import SkippedData

CHUNK_RECORDS = 256


@dataclass(frozen=True)
class _Chunk:
  records: np.ndarray  # [n] of bytes
  positions: np.ndarray  # int64 [n]


@dataclass
class _File:
  shard: Shard
  lock: threading.Lock = field(default_factory=threading.Lock)
  iterator: Optional[tf.data.Iterator] = None
  # Takes the iterator's place from the first damage on.
  walk: Optional[Iterator[Found]] = None
  # The newest chunk, or with a cache all of them so far.
  chunks: dict[int, _Chunk] = field(default_factory=dict)
  next_chunk: int = 0
  num_chunks: Optional[int] = None  # Known at its end.

  def go_to(self, chunk: int) -> None:
    """Forgets everything and continues at a chunk."""
    self.chunks.clear()
    self.iterator, self.walk, self.next_chunk, self.num_chunks = None, None, chunk, None


class ChunkReader:
  """Reads files chunk by chunk.

  Args:
    shards: the files.
    check: says which records to leave out; None keeps all.
    skipped: takes note of what is left out. Without it, a damaged file is an error.
    cache: keeps every chunk in memory, without the records left out.

  Attributes:
    failure: what reading ended with, if it did; TensorFlow only passes on its text.
  """

  def __init__(
    self,
    shards: Sequence[Shard],
    check: Optional[RecordCheck] = None,
    skipped: Optional[SkippedData] = None,
    cache: bool = False,
  ):
    self._files = [_File(shard) for shard in shards]
    self._check, self._skipped, self._cache = check, skipped, cache
    self.failure: Optional[DataError] = None

  def read(self, number: tf.Tensor) -> tf.data.Dataset:
    """Returns a file's records: (serialized Example, place), see `tfrecords.record_places`.

    They can be read as long as this object is there.

    Args:
      number: int64, the file's place in the list of shards.
    """

    def exists(chunk: tf.Tensor) -> tf.Tensor:
      result = tf.numpy_function(_weakly(self._exists), [number, chunk], tf.bool, stateful=False)
      return tf.ensure_shape(result, [])

    def records_of(chunk: tf.Tensor) -> tf.data.Dataset:
      records, positions = tf.numpy_function(
        _weakly(self._columns), [number, chunk], (tf.string, tf.int64), stateful=False
      )
      places = first_place(number) + tf.ensure_shape(positions, [None])
      return tf.data.Dataset.from_tensor_slices((tf.ensure_shape(records, [None]), places))

    # By number rather than by content, so that a checkpoint holds numbers.
    return tf.data.Dataset.range(tf.int64.max).take_while(exists).flat_map(records_of)

  def _exists(self, number: np.ndarray, chunk: np.ndarray) -> np.ndarray:
    return np.asarray(self._chunk(int(number), int(chunk)) is not None)

  def _columns(self, number: np.ndarray, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = self._chunk(int(number), int(chunk))
    return found.records, found.positions

  def _chunk(self, number: int, chunk: int) -> Optional[_Chunk]:
    """Returns a chunk, or None behind the last one."""
    file = self._files[number]
    with file.lock, tf.device("CPU:0"):
      if chunk in file.chunks:
        return file.chunks[chunk]
      if chunk != file.next_chunk and not self._cache:
        file.go_to(chunk)
      while file.next_chunk <= chunk and file.num_chunks is None:
        self._read_next(file)
      found = file.chunks.get(chunk)
      if found is None and not self._cache:
        file.go_to(0)
      return found

  def _read_next(self, file: _File) -> None:
    records, damaged = self._read_good(file), {}
    if file.walk is not None:
      records, damaged = self._read_damaged(file)
    if not len(records):
      self._note_early_end(file)
      file.num_chunks = file.next_chunk
      file.iterator = file.walk = None
      return
    if not self._cache:
      file.chunks.clear()
    file.chunks[file.next_chunk] = self._usable(file, records, damaged)
    file.next_chunk += 1

  def _read_good(self, file: _File) -> np.ndarray:
    """Returns a chunk of records, none at the end; sets `walk` where the file is damaged."""
    nothing = np.zeros([0], object)
    if file.walk is not None:
      return nothing
    if file.iterator is None:
      file.iterator = iter(_open(file))
    try:
      records = next(file.iterator, None)
      return nothing if records is None else records.numpy()
    except tf.errors.OpError as error:
      self._note_damage(file, error)
      file.walk = itertools.islice(self._records(file), file.next_chunk * CHUNK_RECORDS, None)
      return nothing

  def _read_damaged(self, file: _File) -> tuple[np.ndarray, dict[int, str]]:
    """Returns a chunk of records, and by row what is wrong with those that are damaged."""
    found = list(itertools.islice(file.walk, CHUNK_RECORDS))
    records = np.empty([len(found)], object)
    records[:] = [record.data for record in found]
    return records, {row: record.reason for row, record in enumerate(found) if record.reason}

  def _records(self, file: _File) -> Iterator[Found]:
    try:
      for found in walk(file.shard.path, file.shard.compression):
        if found.is_record:
          yield found
        elif found.status is not Status.BAD_COMPRESSION:
          self._skipped.add_lost(file.shard.path, found.offset, found.length)
    except tf.errors.OpError:
      return  # It has vanished, say: that is noted already.

  def _usable(self, file: _File, records: np.ndarray, damaged: Mapping[int, str]) -> _Chunk:
    positions = file.next_chunk * CHUNK_RECORDS + np.arange(len(records), dtype=np.int64)
    problems = dict(damaged)
    intact = np.delete(np.arange(len(records)), list(damaged))
    if self._check is not None:
      for row in intact[list(self._check.bad_rows(records[intact]))].tolist():
        problems[row] = self._check.problem(records[row]) or "cannot be parsed"
    for row in sorted(problems):
      self._skipped.add_record(file.shard.path, int(positions[row]), problems[row])
    return _Chunk(np.delete(records, list(problems)), np.delete(positions, list(problems)))

  def _note_damage(self, file: _File, error: tf.errors.OpError) -> None:
    message = diagnosis.unopenable(file.shard) or diagnosis.damage(file.shard)
    message = message or f"{file.shard.path}: reading failed: {reason(error)}"
    if self._skipped is None:
      self.failure = DataError(message)
      raise self.failure
    self._skipped.add_file(file.shard.path, message)

  def _note_early_end(self, file: _File) -> None:
    """Finds the cut in a record's header that TensorFlow takes for the end, in small files."""
    if self._skipped is None:
      return
    try:
      compression(file.shard.path)
    except DataError as error:
      self._skipped.add_file(file.shard.path, str(error))


def _weakly(method: Callable) -> Callable:
  """Calls a method of an object that may go: TensorFlow keeps Python functions for ever."""
  reference = weakref.WeakMethod(method)

  def call(*arguments: Any) -> Any:
    return reference()(*arguments)

  return call


def _open(file: _File) -> tf.data.Dataset:
  records = tf.data.TFRecordDataset(file.shard.path, compression_type=file.shard.compression)
  return records.skip(file.next_chunk * CHUNK_RECORDS).batch(CHUNK_RECORDS)

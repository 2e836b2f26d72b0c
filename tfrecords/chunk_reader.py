"""Files read in Python, some hundred records at a time: for bad records and for the cache.

TensorFlow's own reader ends a run at the first bad record, and its own cache would be written
into every checkpoint. Here a dataset asks Python for "chunk k of file n". That is a function of
the files alone, so a dataset's position can be saved and restored as if it was TensorFlow's own;
what Python remembers between the calls, open files and cached records, only makes it fast.
"""

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from tfrecords import diagnosis
from tfrecords.errors import DataError, reason
from tfrecords.record_check import RecordCheck
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
  # The newest chunk, or with a cache all of them so far.
  chunks: dict[int, _Chunk] = field(default_factory=dict)
  next_chunk: int = 0
  num_chunks: Optional[int] = None  # Known at its end.

  def go_to(self, chunk: int) -> None:
    """Forgets everything and continues at a chunk."""
    self.chunks.clear()
    self.iterator, self.next_chunk, self.num_chunks = None, chunk, None


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
    """Returns a file's records: (serialized Example, position in the file, number of the file).

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
      columns = (tf.ensure_shape(records, [None]), tf.ensure_shape(positions, [None]))
      return tf.data.Dataset.from_tensor_slices((*columns, tf.fill(tf.shape(positions), number)))

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
    if file.iterator is None:
      file.iterator = iter(_open(file, CHUNK_RECORDS))
    try:
      records = next(file.iterator, None)
      records = None if records is None else records.numpy()
    except tf.errors.OpError as error:
      self._note_damage(file, error)
      records = np.array(list(_readable(_open(file))), object)
      file.num_chunks = file.next_chunk + 1
    if records is None:
      self._note_early_end(file)
      file.num_chunks = file.next_chunk
    else:
      if not self._cache:
        file.chunks.clear()
      file.chunks[file.next_chunk] = self._usable(file, records)
      file.next_chunk += 1
    if file.num_chunks is not None:
      file.iterator = None

  def _usable(self, file: _File, records: np.ndarray) -> _Chunk:
    positions = file.next_chunk * CHUNK_RECORDS + np.arange(len(records), dtype=np.int64)
    bad = list(self._check.bad_rows(records)) if self._check is not None and len(records) else []
    for row in bad:
      problem = self._check.problem(records[row]) or "cannot be parsed"
      self._skipped.add_record(file.shard.path, int(positions[row]), problem)
    return _Chunk(np.delete(records, bad), np.delete(positions, bad))

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


def _open(file: _File, batch_size: int = 1) -> tf.data.Dataset:
  records = tf.data.TFRecordDataset(file.shard.path, compression_type=file.shard.compression)
  return records.skip(file.next_chunk * CHUNK_RECORDS).batch(batch_size)


def _readable(records: tf.data.Dataset) -> list[bytes]:
  found = []
  try:
    for batch in records:
      found += batch.numpy().tolist()
  except tf.errors.OpError:
    pass
  return found

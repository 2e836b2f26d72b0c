"""Writes a set of TFRecord files that appears whole or not at all."""

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Optional, Union

import tensorflow as tf

from tfrecords import files
from tfrecords.errors import StorageError


class ShardWriter:
  """Writes serialized Examples into shards; a context manager.

  Shard k of n holds the records [k * n_records / n, (k + 1) * n_records / n) (rounded down). One
  shard is open at a time. Each is written under a temporary name beside its final one; when the
  context ends well, all are on the disk and get their final names, one right after the other (only
  a kill just then leaves some new files beside old ones). When it ends with an error or an
  interrupt, every temporary file is removed and nothing else has changed. The bytes of the files
  depend on the records alone.

  Args:
    paths: the shards' final names, on any file system TensorFlow knows; missing folders are made.
    n_records: how many records there will be, at least one a shard.
    compression: "GZIP", "ZLIB" or "".
    obsolete: files to remove once the new ones are complete.

  Raises:
    StorageError: names the path and the reason, for a folder that cannot be written, a full disk
      and the like.
  """

  def __init__(
    self,
    paths: Sequence[str],
    n_records: int,
    compression: str = "GZIP",
    obsolete: Sequence[str] = (),
  ):
    if not 1 <= len(paths) <= n_records:
      raise ValueError(f"{len(paths)} shards for {n_records} records, allowed: one record a shard")
    self._paths = list(paths)
    self._obsolete = [path for path in obsolete if path not in set(paths)]
    # zlib's default level takes ten times as long on dense floats, for a sixth less bytes.
    self._options = tf.io.TFRecordOptions(compression_type=compression, compression_level=1)
    self._temporary = [files.unfinished_name(path) for path in paths]
    self._n_records = n_records
    self._n_written = 0
    self._shard = -1
    self._end_of_shard = 0
    self._writer: Optional[tf.io.TFRecordWriter] = None

  def __enter__(self) -> "ShardWriter":
    return self

  def write(self, record: bytes) -> None:
    """Appends a serialized Example."""
    if self._n_written == self._n_records:
      raise ValueError(f"more records than the {self._n_records} announced")
    if self._n_written == self._end_of_shard:
      self._next_shard()
    try:
      self._writer.write(record)
    except tf.errors.OpError as error:
      raise self._error("cannot be written", self._paths[self._shard], error) from None
    self._n_written += 1

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    if kind is not None:
      self._discard()
      return
    try:
      if self._n_written < self._n_records:
        raise ValueError(f"{self._n_written} of {self._n_records} announced records were written")
      self._close_shard()
      self._publish()
    except BaseException:
      self._discard()
      raise

  def _next_shard(self) -> None:
    self._close_shard()
    self._shard += 1
    self._end_of_shard = (self._shard + 1) * self._n_records // len(self._paths)
    path = self._paths[self._shard]
    try:
      tf.io.gfile.makedirs(os.path.dirname(path) or ".")
      self._writer = tf.io.TFRecordWriter(self._temporary[self._shard], self._options)
    except tf.errors.OpError as error:
      raise self._error("cannot be written", path, error) from None

  def _close_shard(self) -> None:
    writer, self._writer = self._writer, None
    if writer is None:
      return
    try:
      writer.close()
      files.flush_to_disk(self._temporary[self._shard])
    except (tf.errors.OpError, OSError) as error:
      raise self._error("cannot be written", self._paths[self._shard], error) from None

  def _publish(self) -> None:
    published = []
    try:
      for temporary, path in zip(self._temporary, self._paths):
        if not tf.io.gfile.exists(path):
          published.append(path)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException as error:
      _remove(published)
      if isinstance(error, tf.errors.OpError):
        raise self._error("cannot be renamed to its final name", path, error) from None
      raise
    for path in self._obsolete:
      try:
        tf.io.gfile.remove(path)
      except tf.errors.NotFoundError:
        pass  # Somebody else removed it.
      except tf.errors.OpError as error:
        raise self._error("cannot be removed", path, error) from None

  def _discard(self) -> None:
    writer, self._writer = self._writer, None
    if writer is not None:
      try:
        writer.close()
      except tf.errors.OpError:
        pass  # The disk is still full: what it holds is removed right below.
    _remove(self._temporary)

  def _error(self, what: str, path: str, error: Union[tf.errors.OpError, OSError]) -> StorageError:
    reason = files.said(error).replace(f"{self._temporary[self._shard]}; ", "")
    return StorageError(
      f"{path}: {what}: {reason}. Choose a folder you may write to, on a disk with room left"
    )


def _remove(paths: Sequence[str]) -> None:
  for path in paths:
    try:
      tf.io.gfile.remove(path)
    except tf.errors.OpError:
      pass  # Never written, or already under its final name.

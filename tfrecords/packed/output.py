"""The folder that packing writes: shards that appear whole, and what is needed to go on later."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Optional

import tensorflow as tf

from tfrecords import files
from tfrecords.errors import StorageError
from tfrecords.folders import alone_in, make_writable
from tfrecords.packed import manifest as manifests
from tfrecords.packed.manifest import WAY_OUT, Manifest, PackedShard

# Hidden, so that no glob takes it for records.
_BEGINNING = ".packing.json"


class Interrupted(Exception):
  """Another shard has failed; this one need not be finished."""


class PackedOutput:
  """A folder that fills up shard by shard; a context manager.

  Until the manifest is there, `.packing.json` says what is being packed and which shards are
  finished; a later run that packs the same goes on from there.

  Args:
    folder: an absolute path.
    beginning: plain data that decides all shards.

  Attributes:
    finished: the shards that are there, by name.

  Raises:
    StorageError: the folder holds something else, or cannot be written.
  """

  def __init__(self, folder: str, beginning: Mapping[str, Any]):
    self._folder, self._beginning = folder, dict(beginning)
    self._lock = threading.Lock()
    self._stopped = threading.Event()
    self._context = contextlib.ExitStack()
    self.finished: dict[str, PackedShard] = {}

  def __enter__(self) -> "PackedOutput":
    folder = self._folder.rstrip("/")
    make_writable(os.path.dirname(folder), "--output_dir")
    with self._context as context:
      context.enter_context(alone_in(folder))
      self._open()
      self._context = context.pop_all()
    return self

  def __exit__(self, *error: object) -> None:
    self._context.close()

  def stop(self) -> None:
    """Makes shards that are being written end with `Interrupted`."""
    self._stopped.set()

  @contextlib.contextmanager
  def shard(self, name: str) -> Iterator["_ShardFile"]:
    """Returns a context that a shard is written in; at its end it gets its name."""
    file = _ShardFile(os.path.join(self._folder, name), self._stopped)
    try:
      yield file
      entry = PackedShard(name=name, examples=file.examples, size=file.publish())
    except BaseException:
      file.discard()
      raise
    with self._lock:
      self.finished[name] = entry
      self._save()

  def complete(self, manifest: Manifest) -> None:
    """Writes the manifest: from now on the folder can be read."""
    manifests.write(self._folder, manifest)
    with contextlib.suppress(tf.errors.OpError):
      tf.io.gfile.remove(self._path)

  @property
  def _path(self) -> str:
    return os.path.join(self._folder, _BEGINNING)

  def _open(self) -> None:
    make_writable(self._folder, "--output_dir")
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(self._folder)]
    if not names:
      self._save()
      return
    found = self._read() if manifests.FILE_NAME not in names else None
    if found is None or found.get("beginning") != self._beginning:
      kind = "an unfinished pack of other records or other settings" if found else "something else"
      kind = "packed records" if manifests.FILE_NAME in names else kind
      raise StorageError(
        f"--output_dir: {self._folder} already holds {kind} ({', '.join(sorted(names)[:3])}), "
        "allowed: an empty folder, a new one, or one in which packing the same was interrupted. "
        "Remove it, or write elsewhere with --output_dir=PATH"
      )
    finished = [PackedShard(**entry) for entry in found.get("finished", ())]
    self.finished = {each.name: each for each in finished if self._is_there(each)}
    if self.finished:
      print(f"{self._folder}: going on after {len(self.finished)} finished shard(s)", flush=True)
    for name in names:
      if name not in self.finished and name != _BEGINNING:
        tf.io.gfile.remove(os.path.join(self._folder, name))

  def _read(self) -> Optional[dict[str, Any]]:
    try:
      with tf.io.gfile.GFile(self._path, "r") as file:
        content = json.loads(file.read())
    except (tf.errors.OpError, ValueError):
      return None
    return content if isinstance(content, dict) else None

  def _is_there(self, entry: PackedShard) -> bool:
    path = os.path.join(self._folder, entry.name)
    return tf.io.gfile.exists(path) and tf.io.gfile.stat(path).length == entry.size

  def _save(self) -> None:
    finished = [entry.model_dump() for entry in self.finished.values()]
    content = {"beginning": self._beginning, "finished": finished}
    files.write(self._path, json.dumps(content), WAY_OUT)


class _ShardFile:
  """A shard under its temporary name."""

  def __init__(self, path: str, stopped: threading.Event):
    self._path, self._stopped = path, stopped
    folder, name = os.path.split(path)
    self._temporary = os.path.join(folder, f".{name}.partial")
    self._writer: Optional[tf.io.TFRecordWriter] = tf.io.TFRecordWriter(self._temporary)
    self.examples = 0

  def write(self, record: bytes, examples: int) -> None:
    """Appends a block."""
    if self._stopped.is_set():
      raise Interrupted
    try:
      self._writer.write(record)
    except tf.errors.OpError as error:
      raise self._error(error) from None
    self.examples += examples

  def publish(self) -> int:
    """Gives the file its name and returns its size in bytes."""
    try:
      writer, self._writer = self._writer, None
      writer.close()
      files.flush_to_disk(self._temporary)
      size = tf.io.gfile.stat(self._temporary).length
      tf.io.gfile.rename(self._temporary, self._path, overwrite=True)
    except (tf.errors.OpError, OSError) as error:
      raise self._error(error) from None
    return size

  def discard(self) -> None:
    """Removes what was written."""
    with contextlib.suppress(tf.errors.OpError):
      if self._writer is not None:
        self._writer.close()
    with contextlib.suppress(tf.errors.OpError):
      tf.io.gfile.remove(self._temporary)

  def _error(self, error: Exception) -> StorageError:
    return StorageError(f"{self._path}: cannot be written: {files.said(error)}. {WAY_OUT}")

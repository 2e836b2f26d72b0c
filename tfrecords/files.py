"""Files that appear whole or not at all; remote ones have `://` in their paths.

A file is written under a hidden name beside its own, `.NAME.8HEX.partial`, which no two writers
share and no glob such as `*.gz` takes for records. Once the content is on the disk it becomes NAME
in one step: whoever finds NAME finds all of it, also after a loss of power.

TensorFlow is only loaded for remote paths: the workers of ingestion do without it.
"""

import contextlib
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Union

from tfrecords.errors import StorageError, reason
from tfrecords.paths import is_remote

_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.partial")


def write(path: str, content: Union[str, bytes], way_out: str, makes_folder: bool = False) -> None:
  """Writes a file, or leaves what there was.

  Args:
    path: absolute.
    content: text is encoded as UTF-8.
    way_out: what the user can do about it if that fails, a sentence without a full stop.
    makes_folder: makes the folder if need be; otherwise it exists.

  Raises:
    StorageError: it cannot be written (a full disk, say).
  """
  data = content.encode() if isinstance(content, str) else content
  try:
    if makes_folder:
      make_folder(os.path.dirname(path))
    with writing(path) as unfinished, open_file(unfinished, "wb") as file:
      file.write(data)
  except errors_at(path) as error:
    raise StorageError(f"{path}: cannot be written: {said(error)}. {way_out}") from None


@contextlib.contextmanager
def writing(path: str) -> Iterator[str]:
  """A context in which a file is written; it gets its name, or goes if there is an error.

  Args:
    path: absolute; its folder exists.

  Yields:
    The hidden name to write to, which has to be closed when the context ends.

  Raises:
    OSError, tf.errors.OpError: it cannot get its name; errors inside the context pass.
  """
  unfinished = unfinished_name(path)
  try:
    yield unfinished
    flush_to_disk(unfinished)
    rename(unfinished, path)
  except BaseException:
    with contextlib.suppress(*errors_at(path)):
      _remove(unfinished)
    raise


def unfinished_name(path: str) -> str:
  """Returns the hidden name of a file on its way, never the same twice."""
  folder, name = os.path.split(path)
  return os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.partial")


def remove_unfinished(paths: Sequence[str]) -> None:
  """Removes what a process that was killed has left of these files, which nobody writes now.

  Raises:
    OSError, tf.errors.OpError: it cannot be removed.
  """
  names: dict[str, set[str]] = {}
  for path in paths:
    folder, name = os.path.split(path)
    names.setdefault(folder, set()).add(name)
  for folder, wanted in names.items():
    for found in names_in(folder):
      match = _UNFINISHED.fullmatch(found)
      if match and match[1] in wanted:
        _remove(os.path.join(folder, found))


def flush_to_disk(path: str) -> None:
  """Returns once a file's or folder's content would survive a loss of power.

  Paths elsewhere than in this machine's file system are left to those who keep them.

  Args:
    path: absolute.

  Raises:
    OSError: the disk is full or fails.
  """
  if is_remote(path):
    return
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def make_folder(path: str) -> None:
  """Makes a folder and those above it.

  Raises:
    OSError, tf.errors.OpError: it cannot be made.
  """
  if is_remote(path):
    _gfile().makedirs(path)
  else:
    os.makedirs(path, exist_ok=True)


def names_in(folder: str) -> list[str]:
  """Returns the names of what lies in a folder, sorted; none if it is missing.

  Object stores have no empty folders: there, one that was made and not yet filled is missing.

  Raises:
    OSError, tf.errors.OpError: it is no folder, or cannot be listed.
  """
  if is_remote(folder):
    import tensorflow as tf

    missing, names = tf.errors.NotFoundError, tf.io.gfile.listdir
  else:
    missing, names = FileNotFoundError, os.listdir
  try:
    return sorted(name.rstrip("/") for name in names(folder))
  except missing:
    return []


def open_file(path: str, mode: str = "rb") -> Any:
  """Opens a file as bytes."""
  return _gfile().GFile(path, mode) if is_remote(path) else open(path, mode)  # noqa: SIM115


def rename(source: str, target: str) -> None:
  """Gives a file, or a local folder, another name; replaces a file that is there."""
  if is_remote(source):
    _gfile().rename(source, target, overwrite=True)
  else:
    os.replace(source, target)


def errors_at(path: str) -> tuple[type[BaseException], ...]:
  """Returns the kinds of errors that reading and writing there can raise."""
  if not is_remote(path):
    return (OSError,)
  import tensorflow as tf

  return (OSError, tf.errors.OpError)


def said(error: BaseException) -> str:
  """Returns what the system said of a file that cannot be used, without a path."""
  return getattr(error, "strerror", None) or reason(error)


def _remove(path: str) -> None:
  _gfile().remove(path) if is_remote(path) else os.remove(path)


def _gfile() -> Any:
  import tensorflow as tf

  return tf.io.gfile

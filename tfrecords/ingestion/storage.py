"""Files and folders on this machine or, with `://` in the path, wherever TensorFlow reaches.

Files appear whole or not at all. TensorFlow is only loaded for remote paths: workers on one machine
do without it.
"""

import json
import os
import shutil
import uuid
from typing import Any

from tfrecords.errors import StorageError, reason
from tfrecords.paths import is_remote


def exists(path: str) -> bool:
  """Tells whether there is such a file or folder."""
  return _gfile().exists(path) if is_remote(path) else os.path.exists(path)


def is_folder(path: str) -> bool:
  """Tells whether there is a folder of that name."""
  return _gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def make_folder(path: str) -> None:
  """Makes a folder and those above it.

  Raises:
    StorageError: it cannot be made.
  """
  try:
    if is_remote(path):
      _gfile().makedirs(path)
    else:
      os.makedirs(path, exist_ok=True)
  except errors_at(path) as error:
    raise cannot_be("written", path, error) from None


def names_in(path: str) -> list[str]:
  """Returns what is in a folder, sorted; nothing if there is no such folder."""
  if not exists(path):
    return []
  names = _gfile().listdir(path) if is_remote(path) else os.listdir(path)
  return sorted(name.rstrip("/") for name in names)


def open_file(path: str, mode: str = "rb") -> Any:
  """Opens a file as bytes."""
  return _gfile().GFile(path, mode) if is_remote(path) else open(path, mode)  # noqa: SIM115


def write(path: str, data: bytes) -> None:
  """Writes a file, which appears whole or not at all.

  Raises:
    StorageError: it cannot be written.
  """
  temporary = temporary_name(path)
  try:
    with open_file(temporary, "wb") as file:
      file.write(data)
    rename(temporary, path)
  except errors_at(path) as error:
    remove(temporary)
    raise cannot_be("written", path, error) from None


def write_json(path: str, content: Any) -> None:
  """Writes a JSON file, see `write`; the same content gives the same bytes."""
  write(path, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def read_json(path: str) -> Any:
  """Reads a JSON file that an earlier step or run has written.

  Raises:
    StorageError: it is none any more.
  """
  try:
    with open_file(path) as file:
      return json.loads(file.read())
  except (ValueError, *errors_at(path)) as error:
    raise StorageError(
      f"{path}: is not what was written there ({reason(error)}). Remove its folder and run the "
      "command again"
    ) from None


def temporary_name(path: str) -> str:
  """Returns a hidden name beside a path, never the same twice."""
  folder, name = os.path.split(path)
  return os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.tmp")


def rename(source: str, target: str) -> None:
  """Gives a file, or a local folder, another name; replaces a file that is there."""
  if is_remote(source):
    _gfile().rename(source, target, overwrite=True)
  else:
    os.replace(source, target)


def remove(path: str) -> None:
  """Removes a file or a whole folder, if there is one."""
  if is_remote(path):
    if _gfile().exists(path):
      _gfile().rmtree(path) if _gfile().isdir(path) else _gfile().remove(path)
  elif os.path.isdir(path):
    shutil.rmtree(path, ignore_errors=True)
  elif os.path.exists(path):
    os.remove(path)


def cannot_be(what: str, path: str, error: BaseException) -> StorageError:
  """Returns the error that a path cannot be read or written, with what the system said."""
  said = getattr(error, "strerror", None) or reason(error)
  return StorageError(
    f"{path}: cannot be {what}: {said}. Make room or choose another place with --output=FOLDER"
  )


def errors_at(path: str) -> tuple:
  """Returns the kinds of errors that reading and writing there can raise."""
  if not is_remote(path):
    return (OSError,)
  import tensorflow as tf

  return (OSError, tf.errors.OpError)


def _gfile() -> Any:
  import tensorflow as tf

  return tf.io.gfile

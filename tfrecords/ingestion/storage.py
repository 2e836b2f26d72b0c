"""What ingestion keeps in files and folders, and the errors where it cannot.

TensorFlow is only loaded for remote paths, see `tfrecords.files`.
"""

import json
import os
import shutil
from typing import Any

from tfrecords import files
from tfrecords.errors import StorageError, reason
from tfrecords.paths import is_remote

_WAY_OUT = "Make room or choose another place with --output=FOLDER"


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
    files.make_folder(path)
  except files.errors_at(path) as error:
    raise cannot_be("written", path, error) from None


def write(path: str, data: bytes) -> None:
  """Writes a file, which appears whole or not at all.

  Raises:
    StorageError: it cannot be written.
  """
  files.write(path, data, _WAY_OUT)


def write_json(path: str, content: Any) -> None:
  """Writes a JSON file, see `write`; the same content gives the same bytes."""
  write(path, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def read_json(path: str) -> Any:
  """Reads a JSON file that an earlier step or run has written.

  Raises:
    StorageError: it is none any more.
  """
  try:
    with files.open_file(path) as file:
      return json.loads(file.read())
  except (ValueError, *files.errors_at(path)) as error:
    raise StorageError(
      f"{path}: is not what was written there ({reason(error)}). Remove its folder and run the "
      "command again"
    ) from None


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
  return StorageError(f"{path}: cannot be {what}: {files.said(error)}. {_WAY_OUT}")


def _gfile() -> Any:
  import tensorflow as tf

  return tf.io.gfile

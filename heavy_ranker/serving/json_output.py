"""A JSON file to write in the end, checked before any work is done."""

import json
import os
from typing import Any

import tensorflow as tf

from tfrecords import files, paths
from tfrecords.errors import StorageError
from tfrecords.folders import make_writable


def prepare(path: str, key: str = "--output_path") -> str:
  """Returns the absolute path of a file that can be written; its folder is made.

  Raises:
    ConfigError: the path needs an environment variable that is not set.
    StorageError: it is a folder, or its folder cannot be written.
  """
  resolved = paths.resolve(path, key)
  if tf.io.gfile.isdir(resolved):
    raise StorageError(f"{key}: {resolved} is a folder, allowed: the name of a JSON file")
  make_writable(os.path.dirname(resolved), key)
  return resolved


def write(path: str, content: Any) -> None:
  """Writes plain data; the file appears whole or not at all.

  Raises:
    StorageError: it cannot be written.
  """
  way_out = "Free space there, or write to another file"
  files.write(path, json.dumps(content, indent=2) + "\n", way_out)

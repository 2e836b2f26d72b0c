"""The versions of a model on disk."""

import os

import tensorflow as tf

from tfrecords.errors import StorageError, reason

# The name a SavedModel's graph has; the text form is for tests of TensorFlow's own.
SAVED_MODEL_FILE = "saved_model.pb"
_LARGEST = 2**63 - 1


def find_versions(base_path: str) -> dict[int, str]:
  """Returns the folder of each version, by number.

  A version is a folder whose name is a number. Anything else is left alone: files, hidden folders,
  and the names that exports bear until they are whole.

  Raises:
    StorageError: the folder cannot be listed.
  """
  try:
    names = tf.io.gfile.listdir(base_path)
  except (tf.errors.OpError, OSError) as error:
    raise StorageError(f"{base_path} cannot be listed: {reason(error)}") from None
  found = {}
  # Of 7 and 007, the plain one counts.
  for name in sorted((name.rstrip("/") for name in names), key=len, reverse=True):
    if name.isascii() and name.isdecimal() and int(name) <= _LARGEST:
      folder = os.path.join(base_path, name)
      if tf.io.gfile.isdir(folder):
        found[int(name)] = folder
  return found


def fingerprint(folder: str) -> tuple[tuple[str, int, int], ...]:
  """Returns what changes when a file below the folder does: names, sizes and times in ns."""
  found = []
  try:
    for parent, _, files in tf.io.gfile.walk(folder):
      for name in files:
        path = os.path.join(parent, name)
        status = tf.io.gfile.stat(path)
        found.append((path, status.length, status.mtime_nsec))
  except tf.errors.OpError:
    return ()  # It is being written or removed: another look will tell.
  return tuple(sorted(found))

"""Folders to write to, checked before any work is put into what shall lie there."""

import os
import uuid

import tensorflow as tf

from tfrecords import paths
from tfrecords.errors import StorageError


def make_writable(path: str, key: str) -> str:
  """Makes a folder if need be, checks that it can be written, and returns its absolute path.

  Args:
    path: as the user gave it, local or remote.
    key: the configuration key or flag it comes from, for the messages.

  Raises:
    ConfigError: the path needs an environment variable that is not set.
    StorageError: it cannot be made or written.
  """
  folder = paths.resolve(path, key)
  probe = os.path.join(folder, f".writable-{uuid.uuid4().hex}")
  try:
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(probe, "w") as file:
      file.write("")
    tf.io.gfile.remove(probe)
  except tf.errors.OpError as error:
    raise StorageError(
      f"{key}: {folder} cannot be written: {error.message}. Choose another folder"
    ) from None
  return folder

"""The folder of a training run: made, checked, set aside."""

import os
import uuid
from typing import Optional

import tensorflow as tf

from tfrecords import paths
from tfrecords.errors import StorageError

_KEY = "training.save_dir"


def prepare(save_dir: str) -> str:
  """Makes the folder, checks that it can be written, and returns its absolute path.

  Raises:
    ConfigError: the path needs an environment variable that is not set.
    StorageError: it cannot be made or written.
  """
  path = paths.resolve(save_dir, _KEY)
  probe = os.path.join(path, f".writable-{uuid.uuid4().hex}")
  try:
    tf.io.gfile.makedirs(path)
    with tf.io.gfile.GFile(probe, "w") as file:
      file.write("")
    tf.io.gfile.remove(probe)
  except tf.errors.OpError as error:
    raise StorageError(
      f"{_KEY}: {path} cannot be written: {error.message}. Choose another with --set {_KEY}=FOLDER"
    ) from None
  return path


def set_aside(save_dir: str) -> Optional[str]:
  """Moves an earlier run out of the way.

  Args:
    save_dir: the folder, absolute.

  Returns:
    Where the earlier run lies now, or None when there was none.
  """
  if not tf.io.gfile.exists(save_dir) or not tf.io.gfile.listdir(save_dir):
    return None
  number = 1
  while tf.io.gfile.exists(f"{save_dir}.{number}"):
    number += 1
  target = f"{save_dir}.{number}"
  tf.io.gfile.rename(save_dir, target)
  return target

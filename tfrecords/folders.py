"""Folders to write to, checked before any work is put into what shall lie there."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator

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


def flush_to_disk(path: str) -> None:
  """Returns once a file's or folder's content would survive a loss of power.

  Paths elsewhere than in this machine's file system are left to those who keep them.

  Args:
    path: absolute.

  Raises:
    OSError: the disk is full or fails.
  """
  if "://" in path:
    return
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


@contextlib.contextmanager
def alone_in(folder: str) -> Iterator[None]:
  """A context that one process at a time is in; others wait and say so.

  The lock is the file FOLDER.lock, and ends with the process. Folders elsewhere than in this
  machine's file system are not locked.

  Args:
    folder: an absolute path; it need not exist, but what it lies in has to.

  Raises:
    StorageError: the lock cannot be written.
  """
  if "://" in folder:
    yield
    return
  try:
    file = open(f"{folder}.lock", "w", encoding="utf-8")  # noqa: SIM115 - closed below.
  except OSError as error:
    raise StorageError(
      f"{folder}.lock: cannot be written: {error.strerror}. Choose another folder"
    ) from None
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      print(f"another process works in {folder}: waiting for it to end", flush=True)
      fcntl.flock(file, fcntl.LOCK_EX)
    yield

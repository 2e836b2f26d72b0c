"""Folders to write to, checked before any work is put into what shall lie there."""

import contextlib
import fcntl
import os
import tempfile
import uuid
from collections.abc import Iterator

import tensorflow as tf

from tfrecords import paths, remote_storage
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
      f"{key}: {folder} cannot be written: {error.message}{remote_storage.hint(folder)}. Choose "
      "another folder"
    ) from None
  return folder


def publish(unfinished: str, target: str, last: str) -> None:
  """Gives a folder its final name.

  Object stores cannot rename: there it is copied object by object, the one that readers look for as
  the last.

  Args:
    unfinished: the folder, whole, on the same file system unless that is an object store; it is
      gone afterwards.
    target: the name, of nothing that exists.
    last: a file of the folder, by which readers tell that it is whole.

  Raises:
    tf.errors.OpError: it cannot be written; under the final name lies nothing, or on an object
      store nothing that has the last file.
  """
  if not paths.is_remote(target):
    tf.io.gfile.rename(unfinished, target)
    return
  for name in sorted(_files_below(unfinished), key=lambda name: (name == last, name)):
    tf.io.gfile.copy(os.path.join(unfinished, name), os.path.join(target, name))
  tf.io.gfile.rmtree(unfinished)


@contextlib.contextmanager
def on_this_machine(folder: str) -> Iterator[str]:
  """A context with a copy of a remote folder in this machine's file system; it goes in the end.

  A local folder is its own copy.

  Args:
    folder: an absolute path.

  Raises:
    tf.errors.OpError: it cannot be read.
  """
  if not paths.is_remote(folder):
    yield folder
    return
  with tempfile.TemporaryDirectory() as copy:
    for name in _files_below(folder):
      path = os.path.join(copy, name)
      os.makedirs(os.path.dirname(path), exist_ok=True)
      tf.io.gfile.copy(os.path.join(folder, name), path, overwrite=True)
    yield copy


def _files_below(folder: str) -> list[str]:
  """Returns the paths of the files of a folder and below, relative to it."""
  return [
    os.path.relpath(os.path.join(where, name), folder)
    for where, _, names in tf.io.gfile.walk(folder)
    for name in names
  ]


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
  if paths.is_remote(folder):
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

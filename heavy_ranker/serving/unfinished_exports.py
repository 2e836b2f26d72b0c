"""Where an export lies while it is written, and what becomes of it when its writer is killed."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator

import tensorflow as tf

from tfrecords.paths import is_remote

_PREFIX = ".unfinished-"
_LOCK_SUFFIX = ".lock"


@contextlib.contextmanager
def writing(base: str) -> Iterator[str]:
  """A context that gives a folder to write to; whatever is still there at its end is removed.

  Args:
    base: the folder of the versions.

  Raises:
    OSError, tf.errors.OpError: it cannot be written.
  """
  unfinished = os.path.join(base, f"{_PREFIX}{uuid.uuid4().hex}")
  with contextlib.ExitStack() as stack:
    if not is_remote(base):
      lock = stack.enter_context(open(f"{unfinished}{_LOCK_SUFFIX}", "w", encoding="utf-8"))
      stack.callback(os.remove, lock.name)
      with contextlib.suppress(OSError):  # A file system without locks.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    stack.callback(_remove_tree, unfinished)
    yield unfinished


def remove_abandoned(base: str) -> None:
  """Removes what killed processes left.

  Its lock tells it from the folder of a process that still writes; on remote paths, which have no
  locks, it stays.

  Args:
    base: the folder of the versions; it exists.
  """
  if is_remote(base):
    return
  for name in os.listdir(base):
    if not (name.startswith(_PREFIX) and name.endswith(_LOCK_SUFFIX)):
      continue
    path = os.path.join(base, name)
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as lock:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      _remove_tree(path[: -len(_LOCK_SUFFIX)])
      os.remove(path)


def _remove_tree(folder: str) -> None:
  if tf.io.gfile.exists(folder):
    tf.io.gfile.rmtree(folder)

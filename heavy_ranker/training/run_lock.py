"""One process at a time trains in a folder."""

import contextlib
import datetime
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from typing import IO, Optional

from tfrecords.errors import StorageError
from tfrecords.paths import is_remote

LOCK_FILE = "train.lock"

# By folder: the files that this process has locked.
_held: dict[str, IO[str]] = {}


@contextlib.contextmanager
def holding(save_dir: str) -> Iterator[None]:
  """A context in which no other process may train in a run's folder; one may lie in another.

  SAVE_DIR/train.lock is locked (flock), and says who holds it. The lock ends with the process,
  however it ends; the file stays and locks nothing by itself. It lies inside so that machines that
  share the folder share the lock, as far as their file system passes locks on (NFS does). Where a
  file system has no locks a warning says so; remote paths (s3:// and the like) are not locked.

  Args:
    save_dir: the folder, absolute; it exists.

  Raises:
    StorageError: another process trains there, which is named; or the lock cannot be written.
  """
  is_outermost = save_dir not in _held
  if is_outermost:
    hold(save_dir)
  try:
    yield
  finally:
    if is_outermost and save_dir in _held:
      _held.pop(save_dir).close()


def hold(save_dir: str) -> None:
  """Takes the lock, again if the folder is a new one since (`--fresh` moves the earlier one).

  Raises:
    StorageError: see `holding`.
  """
  if is_remote(save_dir):
    return
  path = os.path.join(save_dir, LOCK_FILE)
  while not _is_held(save_dir, path):
    file = _locked(save_dir, path)
    if file is None:
      return
    if save_dir in _held:
      _held.pop(save_dir).close()
    _held[save_dir] = file


def _is_held(save_dir: str, path: str) -> bool:
  """Tells whether the file this process has locked is the one that lies there."""
  if save_dir not in _held:
    return False
  try:
    return os.path.samestat(os.fstat(_held[save_dir].fileno()), os.stat(path))
  except FileNotFoundError:
    return False


def _locked(save_dir: str, path: str) -> Optional[IO[str]]:
  try:
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed when the lock ends.
  except OSError as error:
    raise _not_written(path, error) from None
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    holder = _holder(file)
    file.close()
    raise StorageError(
      f"training.save_dir: {save_dir}: another process trains there: {holder}. Wait for it, end "
      "it, or train elsewhere with --set training.save_dir=FOLDER (--fresh does not help)"
    ) from None
  except OSError as error:
    print(
      f"warning: {path}: this file system has no locks ({error.strerror}): see to it yourself that "
      "only one process trains there",
      file=sys.stderr,
      flush=True,
    )
    file.close()
    return None
  try:
    _sign(file)
  except OSError as error:
    raise _not_written(path, error) from None
  return file


def _not_written(path: str, error: OSError) -> StorageError:
  return StorageError(
    f"{path}: cannot be written: {error.strerror}. Free space there, or choose another "
    "training.save_dir"
  )


def _sign(file: IO[str]) -> None:
  now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
  file.truncate(0)
  json.dump({"process": os.getpid(), "host": socket.gethostname(), "since": now}, file)
  file.flush()


def _holder(file: IO[str]) -> str:
  file.seek(0)
  try:
    found = json.loads(file.read())
    return f"process {found['process']} on {found['host']}, since {found['since']}"
  except (ValueError, KeyError, TypeError):
    return "it has not said yet which one"

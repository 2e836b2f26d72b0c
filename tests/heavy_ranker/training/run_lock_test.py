"""Tests of `heavy_ranker.training.run_lock`."""

import errno
import os
import subprocess
import sys

import pytest

from heavy_ranker import train
from heavy_ranker.training import run_lock
from tests.heavy_ranker.small_run import small_config
from tfrecords import paths
from tfrecords.errors import StorageError

BAZEL_SIZE = "medium"
_HOLD = """
import sys
from heavy_ranker.training import run_lock
with run_lock.holding(sys.argv[1]):
  print("held", flush=True)
  sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
  """Another process that trains in tmp_path/run."""
  (tmp_path / "run").mkdir()
  process = subprocess.Popen(
    [sys.executable, "-c", _HOLD, str(tmp_path / "run")],
    cwd=paths.package_root(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
  )  # fmt: skip
  assert process.stdout.readline() == "held\n"
  yield process
  process.kill()
  process.communicate()


def test_the_second_is_refused_and_told_who_is_first(other, tmp_path):
  folder = str(tmp_path / "run")
  pattern = rf"another process trains there: process {other.pid} on \S+, since 2"
  with pytest.raises(StorageError, match=pattern), run_lock.holding(folder):
    pass
  for fresh in (False, True):
    with pytest.raises(StorageError, match=pattern):
      train(small_config(tmp_path), fresh)
  assert os.listdir(folder) == [run_lock.LOCK_FILE]
  assert not (tmp_path / "run.1").exists()


def test_a_killed_process_holds_nothing(other, tmp_path):
  other.kill()
  other.wait()
  with run_lock.holding(str(tmp_path / "run")):
    pass


def _can_hold(folder):
  done = subprocess.run(
    [sys.executable, "-c", _HOLD, folder],
    cwd=paths.package_root(), stdin=subprocess.DEVNULL, capture_output=True, check=False,
  )  # fmt: skip
  return done.returncode == 0


def test_it_follows_a_folder_that_is_made_anew(tmp_path):
  folder, moved = tmp_path / "run", tmp_path / "run.1"
  folder.mkdir()
  with run_lock.holding(str(folder)):
    with run_lock.holding(str(folder)):
      pass
    folder.rename(moved)
    folder.mkdir()
    run_lock.hold(str(folder))
    assert not _can_hold(str(folder))
    assert _can_hold(str(moved))
  assert _can_hold(str(folder))


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch, capsys):
  def refuse(*_):
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

  monkeypatch.setattr(run_lock.fcntl, "flock", refuse)
  with run_lock.holding(str(tmp_path)):
    pass
  assert "this file system has no locks" in capsys.readouterr().err


def test_remote_folders_are_not_locked():
  with run_lock.holding("s3://bucket/run"):
    pass

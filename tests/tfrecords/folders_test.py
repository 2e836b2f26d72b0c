"""Tests of `tfrecords.folders`."""

import threading

import pytest

from tfrecords.errors import StorageError
from tfrecords.folders import alone_in

_SECONDS = 60


def test_who_comes_second_waits_and_says_so(tmp_path, capsys):
  folder, order = str(tmp_path / "run"), []

  # A lock belongs to the opened file, so that threads stand for processes.
  def work():
    with alone_in(folder):
      order.append("second")

  second = threading.Thread(target=work)
  with alone_in(folder):
    second.start()
    # Long enough to come in, were it let.
    second.join(0.3)
    assert second.is_alive()
    order.append("first")
  second.join(_SECONDS)
  assert order == ["first", "second"]
  assert f"another process works in {folder}: waiting" in capsys.readouterr().out


def test_a_lock_that_cannot_be_written_names_the_way_out(tmp_path):
  missing = str(tmp_path / "missing" / "run")
  with pytest.raises(StorageError, match="cannot be written: No such file"), alone_in(missing):
    pass


def test_elsewhere_nothing_is_locked():
  with alone_in("gs://bucket/run"):
    pass

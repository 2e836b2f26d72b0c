"""Tests of `tfrecords.progress`."""

import io
import sys

from tfrecords.progress import progress_bar


class Terminal(io.StringIO):
  def isatty(self):
    return True


def test_silent_where_nobody_looks(monkeypatch):
  monkeypatch.setattr(sys, "stderr", io.StringIO())
  assert list(progress_bar(iterable=[1, 2, 3], description="reading")) == [1, 2, 3]
  assert sys.stderr.getvalue() == ""


def test_shows_what_is_going_on_in_a_terminal(monkeypatch):
  monkeypatch.setattr(sys, "stderr", Terminal())
  with progress_bar(total=10, description="training", unit="step", initial=4) as bar:
    bar.update(1)
    bar.refresh()
  assert "training" in sys.stderr.getvalue()
  assert "5/10" in sys.stderr.getvalue()


def test_continues_a_count(monkeypatch):
  monkeypatch.setattr(sys, "stderr", Terminal())
  with progress_bar(total=10, initial=4) as bar:
    assert bar.n == 4

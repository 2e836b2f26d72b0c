"""Tests of `tfrecords.reading_progress`."""

import numpy as np
import pytest

from tests.tfrecords.record_files import record, write_shard
from tfrecords import reading_progress
from tfrecords.reading_progress import ReadingProgress
from tfrecords.shards import Shard, inspect_shards


class Bar:
  """What ReadingProgress needs of tqdm."""

  def __init__(self, total, description, unit):
    self.total, self.n, self.is_open = total, 0, True
    assert (description, unit) == ("reading", "B")

  def update(self, amount):
    assert amount >= 0
    self.n += amount

  def close(self):
    self.is_open = False


@pytest.fixture(name="bars")
def bars_fixture(monkeypatch):
  bars = []
  monkeypatch.setattr(
    reading_progress, "progress_bar", lambda *given: bars.append(Bar(*given)) or bars[-1]
  )
  return bars


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_bytes_grow_up_to_the_files_sizes(tmp_path, bars, compression):
  records = [record(index) for index in range(40)]
  paths = [write_shard(tmp_path / f"{n}", records, compression) for n in range(2)]
  sizes = [path.stat().st_size for path in paths]
  lengths = np.array([len(data) for data in records])
  with ReadingProgress(inspect_shards([str(path) for path in paths]), "reading") as progress:
    (bar,) = bars
    assert bar.total == sum(sizes)
    progress.advance(lengths[:20], np.zeros(20))
    half = bar.n
    assert 0 < half <= sizes[0]
    progress.advance(np.concatenate([lengths[20:], lengths[:10]]), np.repeat([0, 1], [20, 10]))
    assert sizes[0] < bar.n < sum(sizes), "a new file begins where it begins"
    progress.advance(lengths[10:], np.ones(30))
    assert bar.n <= bar.total
    if not compression:
      assert (half, bar.n) == (sum(lengths[:20] + 16), bar.total)
  assert not bar.is_open


def test_rows_of_files_grow_side_by_side(bars):
  files = [Shard(name, "") for name in "abcd"]
  with ReadingProgress(files, "reading", [100, 200, 300, 400]) as progress:
    (bar,) = bars
    assert bar.total == 1000
    progress.advance(np.array([34]), np.array([2]), first_file=2)
    assert bar.n == 50  # With the 16 bytes around each record.
    progress.advance(np.array([34, 4]), np.array([0, 1]), first_file=0)
    assert bar.n == 50 + 100 + 20
    progress.advance(np.array([], int), np.array([], int), first_file=2)
    progress.advance(np.array([9_000]), np.array([3]), first_file=2)
    assert bar.n == 100 + 20 + 300 + 400, "no file is longer than it is"
    progress.finish(range(2))
    assert bar.n == 1000

"""Tests of `heavy_ranker.training.cluster.data_positions`; cluster_run_test.py saves real ones."""

import pytest
import tensorflow as tf

from heavy_ranker.training.cluster.cluster import Cluster
from heavy_ranker.training.cluster.data_positions import DataPositions


class Pair(Cluster):
  """One of two workers; what the other says is what this one says."""

  def __init__(self, index, count=2):
    self.index, self.count, self.is_chief = index, count, index == 0

  def gather(self, what, value=None):
    return [value] * self.count


def _positions(folder, index, iterator, fingerprint="data", count=2):
  return DataPositions(str(folder), iterator, fingerprint, Pair(index, count))


def _save_both(folder, steps=(4,)):
  for index in range(2):
    iterator = iter(tf.data.Dataset.range(index * 100, 1000))
    for step in steps:
      next(iterator)
      _positions(folder, index, iterator).save(step)


def test_each_worker_continues_where_it_was(tmp_path):
  _save_both(tmp_path, steps=(4, 8))
  for index in range(2):
    iterator = iter(tf.data.Dataset.range(index * 100, 1000))
    assert _positions(tmp_path, index, iterator).restore(4) is None
    assert next(iterator) == index * 100 + 1


@pytest.mark.parametrize(
  "damage, changes, message",
  [
    (None, {"fingerprint": "other"}, "the training data or how it is read has changed"),
    (None, {"count": 3}, "step 4 are not those of 3 workers: step-4.worker-0-of-2, step-4.wor"),
    ("step-4.worker-1-of-2.index", {}, "are not those of 2 workers: step-4.worker-0-of-2"),
    ("*.index", {}, "was written without the workers' positions"),
  ],
)
def test_an_incomplete_set_is_not_used(damage, changes, message, tmp_path):
  _save_both(tmp_path)
  for path in (tmp_path / "data_positions").glob(damage) if damage else ():
    path.unlink()
  iterator = iter(tf.data.Dataset.range(1000))
  problem = _positions(tmp_path, 0, iterator, **changes).restore(4)
  assert message in problem
  assert next(iterator) == 0


def test_a_damaged_position_is_not_used(tmp_path):
  _save_both(tmp_path)
  (tmp_path / "data_positions" / "step-4.worker-0-of-2.index").write_bytes(b"no table")
  problem = _positions(tmp_path, 0, iter(tf.data.Dataset.range(9))).restore(4)
  assert "a position of step 4 cannot be read" in problem


def test_positions_go_with_their_checkpoints(tmp_path):
  _save_both(tmp_path, steps=(4, 8))
  (tmp_path / "checkpoints").mkdir()
  (tmp_path / "checkpoints" / "step-8.index").write_bytes(b"")
  _positions(tmp_path, 0, iter(tf.data.Dataset.range(9))).remove_unused()
  left = {path.name.split(".")[0] for path in (tmp_path / "data_positions").iterdir()}
  assert left == {"step-8"}

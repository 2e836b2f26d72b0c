"""Tests of `heavy_ranker.training.checkpoint_manager` that need no training run."""

from heavy_ranker.training import checkpoint_manager
from heavy_ranker.training.checkpoint_manager import data_fingerprint
from tests.tfrecords.record_files import data_config
from tfrecords.shards import Shard


def test_checks_of_the_data_do_not_move_the_position_in_it(tmp_path):
  shards = [Shard("a", "GZIP")]
  found = data_fingerprint(data_config(tmp_path), shards)
  checks = {"severity": {"drift": "error"}}
  assert data_fingerprint(data_config(tmp_path, checks=checks), shards) == found
  assert data_fingerprint(data_config(tmp_path, shuffle_seed=3), shards) != found
  assert data_fingerprint(data_config(tmp_path), shards * 2) != found


def test_a_version_that_reads_in_another_way_does_not_take_over_the_position(tmp_path, monkeypatch):
  found = data_fingerprint(data_config(tmp_path), [])
  monkeypatch.setattr(checkpoint_manager, "POSITION_FORMAT", "other elements")
  assert data_fingerprint(data_config(tmp_path), []) != found

"""Tests of `tfrecords.random_records`."""

import numpy as np
import pytest

from tfrecords.random_records import RandomRecords
from tfrecords.random_streams import stream
from tfrecords.schema import VARIABLE_LENGTH, Feature

LABELS = ("label.a", "label.b")
FEATURES = {
  feature.record_name: feature
  for feature in (
    Feature("dense", "continuous", "float_list", 30),
    Feature("bits", "binary", "int64_list", 20),
    Feature("codes", "discrete", "int64_list", 10),
    Feature("meta.user_id", "meta__user_id", "int64_list", 1),
    Feature("name", "name", "bytes_list", 2),
    Feature("history", "history", "int64_list", VARIABLE_LENGTH),
    Feature("scores", "scores", "float_list", VARIABLE_LENGTH),
    *(Feature(label, label, "int64_list", 1) for label in LABELS),
  )
}


@pytest.fixture(name="block")
def fixture_block():
  return RandomRecords(FEATURES, LABELS, seed=0).block(3)


def _same(left, right):
  return all(np.array_equal(a, b) for a, b in zip(left, right))


def test_shapes_and_dtypes(block):
  assert list(block) == list(FEATURES)
  dtypes = {"int64_list": np.int64, "float_list": np.float32, "bytes_list": object}
  for name, feature in FEATURES.items():
    assert len(block[name]) == RandomRecords.block_size
    assert all(row.dtype == dtypes[feature.dtype] for row in block[name])
    if feature.length != VARIABLE_LENGTH:
      assert block[name].shape == (RandomRecords.block_size, feature.length)


def test_values(block):
  for name in ("bits", *LABELS):
    assert set(np.unique(block[name])) == {0, 1}
  assert block["meta.user_id"].min() > 0
  assert len(np.unique(block["meta.user_id"])) == RandomRecords.block_size
  assert block["codes"].min() >= 0 and block["codes"].max() < 1024
  assert np.isfinite(block["dense"]).all()
  assert abs(block["dense"].mean()) < 0.1 and 0.9 < block["dense"].std() < 1.1
  assert all(len(value) == 8 for value in block["name"].ravel())
  assert {len(row) for row in block["history"]} == set(range(9))


def test_a_binary_feature_of_floats():
  features = {"bits": Feature("bits", "binary", "float_list", 20)}
  bits = RandomRecords(features, (), seed=0).block(0)["bits"]
  assert bits.dtype == np.float32 and set(np.unique(bits)) == {0.0, 1.0}


def test_a_function_of_the_seed_and_the_block(block):
  again = RandomRecords(FEATURES, LABELS, seed=0)
  assert all(_same(rows, block[name]) for name, rows in again.block(3).items())
  for other in (again.block(4), RandomRecords(FEATURES, LABELS, seed=1).block(3)):
    assert not any(_same(rows, block[name]) for name, rows in other.items())


def test_a_feature_keeps_its_values_when_others_come_and_go(block):
  few = {name: FEATURES[name] for name in ("codes", "label.b")}
  for name, rows in RandomRecords(few, LABELS, seed=0).block(3).items():
    assert _same(rows, block[name])


def test_streams_are_independent():
  drawn = [
    tuple(stream(seed, name, block).integers(0, 2**62, 4))
    for seed in (0, 1, 2**40)
    for name in ("a", "b")
    for block in (0, 1, 2**40)
  ]
  assert len(set(drawn)) == len(drawn)
  assert tuple(stream(2**40, "b", 2**40).integers(0, 2**62, 4)) == drawn[-1]

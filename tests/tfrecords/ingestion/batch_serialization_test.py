import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords import serialization
from tfrecords.ingestion.batch_serialization import serialize, varints
from tfrecords.schema import Feature

_INTEGERS = st.one_of(st.integers(0, 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 300))


def _one_by_one(features):
  schema = {
    name: Feature(name, name, "float_list" if of.dtype == np.float32 else "int64_list", of.shape[1])
    for name, of in features.items()
  }
  return list(serialization.serialize(features, schema))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_same_bytes_as_one_by_one(data):
  n_rows = data.draw(st.integers(1, 5))
  features = {}
  for name in data.draw(st.lists(st.text(min_size=1, max_size=9), min_size=1, unique=True)):
    width = data.draw(st.integers(1, 40))
    if data.draw(st.booleans()):
      features[name] = np.random.default_rng(width).normal(size=(n_rows, width)).astype(np.float32)
    else:
      cells = st.lists(_INTEGERS, min_size=n_rows * width, max_size=n_rows * width)
      features[name] = np.array(data.draw(cells), np.int64).reshape(n_rows, width)
  assert serialize(features).to_pylist() == _one_by_one(features)


def test_lengths_of_more_than_one_byte():
  features = {"x" * 200: np.ones((2, 5000), np.float32), "y": np.full((2, 3000), 2**40)}
  assert serialize(features).to_pylist() == _one_by_one(features)


def test_no_rows_are_no_records():
  assert len(serialize({"a": np.zeros((0, 3), np.float32), "b": np.zeros((0, 2), np.int64)})) == 0


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**63 - 1, -1, -(2**63)])
def test_varints_at_the_edges(number):
  data, lengths = varints(np.array([[number]]))
  expected, left = [], number % 2**64
  while left >= 128:
    expected.append(left % 128 + 128)
    left //= 128
  assert list(data) == [*expected, left]
  assert list(lengths) == [len(expected) + 1]

"""Tests of `tfrecords.validation.row_sample`."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.validation.row_sample import RowSample, mix

ROWS = {file: np.arange(40) + 100 * file for file in range(3)}


def sample_of(order, batch, capacity):
  sample = RowSample(capacity)
  parts = [(file, start) for file in ROWS for start in range(0, 40, batch)]
  for place in np.random.default_rng(order).permutation(len(parts)):
    file, start = parts[place]
    positions = np.arange(start, min(start + batch, 40))
    sample.add(file, positions, {"x": ROWS[file][positions][:, np.newaxis]})
  return sample.columns()["x"][:, 0].tolist()


@given(st.integers(0, 99), st.integers(1, 40), st.sampled_from([1, 7, 30]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_same_rows_whatever_the_order(order, batch, capacity):
  found = sample_of(order, batch, capacity)
  assert found == sample_of(0, 40, capacity)
  assert len(set(found)) == capacity


def test_few_rows_are_all_kept_and_none_is_fine():
  assert sorted(sample_of(0, 10, 1000)) == sorted(np.concatenate(list(ROWS.values())))
  assert RowSample(3).columns() == {}


def test_every_row_is_as_likely():
  means = np.mean([np.argsort(mix(np.arange(1000, dtype=np.uint64) + np.uint64(1000 * i)))[:100]
                   for i in range(50)])  # fmt: skip
  assert abs(means - 499.5) < 5 * 288.7 / np.sqrt(5000)

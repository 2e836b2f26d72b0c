"""Tests of `tfrecords.validation.quantile_bins`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.validation.quantile_bins import (
  Chance,
  count_up_to,
  edges_of,
  padded,
  stability_index,
)

numbers = st.one_of(
  st.floats(width=32), st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), float("-inf")])
)


def shares_of(values, edges):
  up_to = count_up_to(values[:, np.newaxis], padded([edges]))[:, 0]
  return np.diff(np.append(up_to[: len(edges)], up_to[-1]), prepend=0) / max(up_to[-1], 1)


def index_of(before, now):
  before, now = (np.array(values, np.float32) for values in (before, now))
  edges = edges_of(before[:, np.newaxis])[0]
  counts = count_up_to(now[:, np.newaxis], padded([edges]))[:, 0]
  return stability_index(shares_of(before, edges), len(before), counts, len(edges))


@given(st.lists(numbers, max_size=60))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_finite_value_is_in_one_bin(column):
  values = np.array(column, np.float32)
  finite = values[np.isfinite(values)]
  edges = edges_of(values[:, np.newaxis])[0]
  assert edges == sorted(set(edges)) and len(edges) <= 18
  counts = shares_of(values, edges) * max(len(finite), 1)
  bounds = [-np.inf, *edges, np.inf]
  expected = [((finite > low) & (finite <= high)).sum() for low, high in zip(bounds, bounds[1:])]
  np.testing.assert_allclose(counts, expected, atol=1e-9)


def test_the_index_as_its_formula_says():
  random = np.random.default_rng(0)
  before, now = random.normal(size=5000).astype("f"), random.normal(0.5, 1.2, size=3000).astype("f")
  deciles = np.sort(before)[np.arange(1, 10) * 500]
  q = np.histogram(before, [-np.inf, *np.nextafter(deciles, np.float32(np.inf)), np.inf])[0] / 5000
  p = np.histogram(now, [-np.inf, *np.nextafter(deciles, np.float32(np.inf)), np.inf])[0] / 3000
  assert index_of(before, now) == pytest.approx(np.sum((p - q) * np.log(p / q)), rel=1e-6)
  assert index_of(before, before) == 0


@pytest.mark.parametrize(
  "before, now",
  [
    ([5.0] * 100, [3.0] * 100),
    ([5.0] * 100, [np.nextafter(np.float32(5), np.float32(6))] * 100),
    ([0.0] * 90 + list(range(1, 11)), [-1.0] * 90 + list(range(1, 11))),
    ([0.0] * 50 + [1.0] * 50, [0.0] * 90 + [1.0] * 10),
  ],
)
def test_values_of_their_own_bin_that_change_are_noticed(before, now):
  assert index_of(before, before) == 0
  assert index_of(before, now) > 0.5


def test_large_integers_and_empty_columns():
  values = np.array([[2**62, 0], [2**62 + 2**20, 0]], np.int64)
  assert [len(edges) for edges in edges_of(values)] == [4, 2]
  empty = np.full((3, 1), np.nan, np.float32)
  assert edges_of(empty) == [[]]
  assert np.isnan(stability_index(np.ones(1), 3, np.zeros(1), 0))


def test_chance_rarely_goes_beyond_and_a_shift_does():
  random = np.random.default_rng(1)
  before, now = (random.normal(size=(1000, 200)).astype("f") for _ in range(2))
  limit = Chance(1000, 1000, 200).stability_index(10)
  assert max(index_of(*columns) for columns in zip(before.T, now.T)) < limit < 0.1
  assert min(index_of(*columns) for columns in zip(before.T, now.T + 0.5)) > limit

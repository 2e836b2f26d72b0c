"""Tests of `tfrecords.column_statistics`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.heavy_ranker.numpy_twins import replace_non_finite
from tests.heavy_ranker.numpy_twins import signed_log1p as twin
from tfrecords.column_statistics import ColumnStatistics, signed_log1p


def of(*batches):
  statistics = ColumnStatistics(np.asarray(batches[0]).shape[1])
  for batch in batches:
    statistics.add(np.asarray(batch))
  return statistics


@settings(deadline=None, max_examples=100)
@given(
  values=arrays.arrays(
    np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(width=32)
  ),
  cuts=st.lists(st.integers(0, 30), max_size=5),
)
def test_equal_those_of_all_values_at_once_however_they_are_cut(values, cuts):
  parts = np.split(values, sorted(min(cut, len(values)) for cut in cuts))
  found = of(*parts)
  merged = ColumnStatistics(3)
  for part in parts:
    merged.merge(of(part))
  np.testing.assert_allclose(merged.mean, found.mean, rtol=1e-12, atol=1e-12)
  np.testing.assert_allclose(merged.deviation, found.deviation, rtol=1e-9, atol=1e-12)
  np.testing.assert_array_equal(merged.minimum, found.minimum)
  np.testing.assert_array_equal(merged.share_of_zeros, found.share_of_zeros)
  np.testing.assert_array_equal(merged.share_of_non_finite, found.share_of_non_finite)
  logs = twin(replace_non_finite(values))
  finite = np.ma.masked_invalid(values.astype(np.float64))
  assert found.count == len(values)
  np.testing.assert_allclose(found.mean, logs.mean(axis=0), rtol=1e-12, atol=1e-12)
  np.testing.assert_allclose(found.deviation, logs.std(axis=0), rtol=1e-9, atol=1e-12)
  np.testing.assert_array_equal(found.minimum, finite.min(axis=0).filled(np.inf))
  np.testing.assert_array_equal(found.maximum, finite.max(axis=0).filled(-np.inf))
  np.testing.assert_allclose(found.share_of_zeros, (values == 0).mean(axis=0))
  np.testing.assert_allclose(found.share_of_non_finite, (~np.isfinite(values)).mean(axis=0))
  farthest = np.abs(logs - logs.mean(axis=0)).max(axis=0)
  spread = found.deviation > 1e-6
  np.testing.assert_allclose(
    found.farthest[spread], (farthest / logs.std(axis=0).clip(1e-9))[spread], rtol=1e-4
  )


@pytest.mark.parametrize("value", [0.1, -7.3, 3.4e38, 0.0, np.nan, np.inf])
def test_a_constant_column_has_deviation_0_and_its_own_mean(value):
  rows = np.full((100, 1), value, np.float32)
  found = of(rows, rows[:7], rows[:1])
  assert found.deviation == [0.0] and found.farthest == [0.0]
  np.testing.assert_array_equal(found.mean, twin(replace_non_finite(rows[0])))


def test_small_differences_of_large_values_do_not_cancel():
  logs = 40 + np.random.default_rng(0).normal(0, 1e-6, (50_000, 1))
  found = of(*np.split(np.expm1(logs), 50))
  np.testing.assert_allclose(found.deviation, logs.std(axis=0), rtol=1e-6)


def test_integers_and_the_smallest_of_them():
  found = of(np.array([[-(2**63), 1], [5, 1]]))
  assert found.minimum.tolist() == [-(2.0**63), 1.0]
  assert np.isfinite(found.mean).all()


def test_the_log_keeps_signs():
  values = np.array([-3.0, -0.0, 0.0, 1e-40, 8.0])
  np.testing.assert_array_equal(signed_log1p(values), twin(values))

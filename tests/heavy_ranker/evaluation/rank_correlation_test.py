"""Tests of `heavy_ranker.evaluation.rank_correlation`."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation.rank_correlation import user_kendall_taus

BAZEL_SIZE = "small"
_VALUES = st.sampled_from([-2.0, -0.0, 0.0, 0.5, 3.0]) | st.floats(-1e6, 1e6, width=32)


def check(users, num_users, first, second):
  actual = user_kendall_taus(users, num_users, first, second)
  assert actual.shape == (num_users,)
  for user in range(num_users):
    chosen = users == user
    expected = math.nan
    if chosen.sum() > 1:
      expected = scipy.stats.kendalltau(first[chosen], second[chosen]).statistic
    assert actual[user] == pytest.approx(expected, abs=1e-12, nan_ok=True), user


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), _VALUES, _VALUES), max_size=40))
def test_equals_scipy_user_by_user(rows):
  users, first, second = (np.array([row[i] for row in rows]) for i in range(3))
  check(users.astype(np.int64), 4, first.astype(np.float32), second.astype(np.float32))


def test_equals_scipy_for_long_lists_beside_short_ones():
  generator = np.random.default_rng(0)
  users = np.where(np.arange(6000) < 5000, 1, generator.integers(0, 90, 6000))
  first = generator.normal(size=6000).astype(np.float32)
  second = np.round(first + generator.normal(size=6000), 1)
  check(generator.permutation(users), 91, first, second)

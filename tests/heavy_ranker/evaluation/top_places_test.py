"""Tests of `heavy_ranker.evaluation.top_places`."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation.top_places import top_chances, top_overlaps

BAZEL_SIZE = "small"
_SCORES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), _SCORES), min_size=1, max_size=8), st.integers(1, 5))
def test_chances_are_those_over_all_orders_of_ties(rows, cutoff):
  users, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
  actual = top_chances(users, 2, scores, cutoff)
  for user in range(2):
    members = np.flatnonzero(users == user)
    orders = [
      order[:cutoff]
      for order in itertools.permutations(members)
      if all(scores[a] >= scores[b] for a, b in zip(order, order[1:]))
    ]
    for member in members:
      assert actual[member] == pytest.approx(np.mean([member in order for order in orders]))


def test_overlap_is_the_share_of_the_first_that_stay():
  users = np.array([0, 0, 0, 0, 2, 2])
  before = np.array([4.0, 3, 2, 1, 5, 5])
  after = np.array([1.0, 2, 3, 4, 5, 4])
  for cutoff, expected in ((1, [0, math.nan, 0.5]), (3, [2 / 3, math.nan, 1])):
    chances = [top_chances(users, 3, scores, cutoff) for scores in (before, after)]
    assert top_overlaps(users, 3, *chances) == pytest.approx(expected, nan_ok=True)
    same = top_overlaps(users, 3, chances[0], chances[0])
    assert same == pytest.approx([1, math.nan, 1], nan_ok=True)

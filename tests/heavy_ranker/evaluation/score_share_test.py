"""Tests of `heavy_ranker.evaluation.score_share`."""

import math

import numpy as np
import pytest

from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation.score_share import ScoreShare

TASKS = ["a", "b", "c"]


def shares_of(config, *batches):
  share = ScoreShare(config, TASKS)
  for batch in batches:
    share.add(batch)
  return share.shares()


def test_shares_add_up_and_follow_the_definition():
  probabilities = np.random.default_rng(0).random((500, 3)).astype(np.float32)
  weights = {"a": 1.0, "b": 4.0, "c": -2.0}
  found = shares_of(ScoreConfig(weights=weights), probabilities[:99], probabilities[99:])
  terms = probabilities * np.array(list(weights.values()))
  means = np.abs(terms).mean(axis=0)
  covariances = [np.cov(term, terms.sum(axis=1))[0, 1] for term in terms.T]
  assert [share["mean"] for share in found] == pytest.approx(means / means.sum())
  expected = np.array(covariances) / sum(covariances)
  assert [share["variance"] for share in found] == pytest.approx(expected)


def test_of_a_group_only_the_largest_contributes():
  config = ScoreConfig(
    weights={"a": 2.0, "b": 1.0, "c": 2.0}, only_largest_of=[["a", "c", "other"]]
  )
  found = shares_of(config, np.array([[0.1, 0.2, 0.3], [0.4, 0.2, 0.3]], np.float32))
  sums = np.array([0.8, 0.4, 0.6])
  assert [share["mean"] for share in found] == pytest.approx(sums / sums.sum(), rel=1e-6)


def test_without_a_weight_or_a_spread_there_is_no_share():
  constant = np.full((4, 3), 0.5, np.float32)
  none = shares_of(ScoreConfig(weights=dict.fromkeys(TASKS, 0.0)), constant)
  assert math.isnan(none[0]["mean"])
  even = shares_of(ScoreConfig(weights=dict.fromkeys(TASKS, 1.0)), constant)
  assert even[0]["mean"] == pytest.approx(1 / 3)
  assert math.isnan(even[0]["variance"])

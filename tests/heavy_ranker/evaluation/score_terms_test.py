"""Tests of `heavy_ranker.evaluation.score_terms`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation.score_terms import ScoreTerms
from heavy_ranker.scoring import Score

BAZEL_SIZE = "medium"
TASKS = ["a", "b", "c", "d"]
_WEIGHTS = st.floats(-1000, 1000, width=32)


@settings(deadline=None, max_examples=30)
@given(st.lists(_WEIGHTS, min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_terms_add_up_to_the_score_of_the_model(weights, seed):
  config = ScoreConfig(
    weights=dict(zip(TASKS, (*weights, weights[1]))), only_largest_of=[["b", "d", "elsewhere"]]
  )
  probabilities = np.random.default_rng(seed).random((50, 4)).astype(np.float32)
  expected = Score(config, TASKS)(probabilities).numpy()
  terms = ScoreTerms(config, TASKS)
  error = 1e-6 * (1 + np.abs(weights).sum())
  assert terms(probabilities).sum(axis=1) == pytest.approx(expected, abs=error)
  factor = 2.0 ** np.frexp(np.abs(weights).max())[1]
  scores = terms.scores(list(probabilities.T)).astype(np.float64)
  assert scores * factor == pytest.approx(expected, abs=error)


def test_many_rows_are_scored_as_few_are():
  config = ScoreConfig(weights=dict(zip(TASKS, (1.0, -3.0, 0.5, 7.0))), only_largest_of=[])
  columns = list(np.random.default_rng(0).random((4, 140_000)).astype(np.float32))
  every = ScoreTerms(config, TASKS).scores(columns)
  some = ScoreTerms(config, TASKS).scores([column[65_500:65_600] for column in columns])
  np.testing.assert_array_equal(every[65_500:65_600], some)


def test_without_weights_all_scores_are_equal():
  config = ScoreConfig(weights=dict.fromkeys(TASKS, 0.0), only_largest_of=[])
  assert not ScoreTerms(config, TASKS).scores([np.ones(3, np.float32)] * 4).any()

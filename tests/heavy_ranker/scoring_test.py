"""Tests of `heavy_ranker.scoring`."""

import itertools

import numpy as np
import pytest

from heavy_ranker.config.score import DEFAULT_WEIGHTS, ScoreConfig
from heavy_ranker.scoring import Score
from tests.heavy_ranker import layer_helpers, numpy_twins

PUBLISHED = tuple(DEFAULT_WEIGHTS)
WEIGHTS = {"a": 2.0, "b": 5.0, "c": -7.0, "d": 5.0, "e": -0.25}
TASKS = tuple(WEIGHTS)


def uniform(tasks, rows=200, seed=0):
  return np.random.default_rng(seed).uniform(size=(rows, len(tasks))).astype(np.float32)


def score_of(config, tasks, probabilities):
  return layer_helpers.run(Score(ScoreConfig(**config), tasks), probabilities)


def test_the_published_score():
  p = uniform(PUBLISHED)
  expected = 0.5 * p[:, 0] + 11 * np.maximum(p[:, 1], p[:, 2]) - 74 * p[:, 3] + 12 * p[:, 4]
  expected += 27 * p[:, 5] + 75 * p[:, 6] - 369 * p[:, 7] + p[:, 8] + 0.005 * p[:, 9]
  scores = score_of({}, PUBLISHED, p)
  assert scores.shape == (200,)
  np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("squash", [None, 0.001, 2.0])
@pytest.mark.parametrize("groups", [[], [[1, 3]], [[3, 1]], [[0], [1, 3]]], ids=str)
def test_equals_numpy(groups, squash):
  p = uniform(TASKS)
  config = {
    "weights": WEIGHTS,
    "only_largest_of": [[TASKS[column] for column in group] for group in groups],
    "negative_squash_epsilon": squash,
  }
  expected = numpy_twins.score(p, list(WEIGHTS.values()), groups, squash)
  np.testing.assert_allclose(score_of(config, TASKS, p), expected, rtol=1e-5, atol=1e-5)


def test_of_a_group_only_the_largest_counts():
  base = np.full([1, 10], 0.1, np.float32)
  scores = {}
  for first, second in itertools.product((0.2, 0.6), repeat=2):
    p = base.copy()
    p[0, 1:3] = first, second
    scores[first, second] = score_of({}, PUBLISHED, p)[0]
  assert scores[0.2, 0.6] == scores[0.6, 0.2] == scores[0.6, 0.6]
  np.testing.assert_allclose(scores[0.6, 0.6] - scores[0.2, 0.2], 11 * 0.4, rtol=1e-4)


def test_a_negative_weight_also_takes_the_largest_probability():
  config = {"weights": {"a": -3, "b": -3}, "only_largest_of": [["a", "b"]]}
  scores = score_of(config, ["a", "b"], np.float32([[0.2, 0.5]]))
  np.testing.assert_allclose(scores, [-1.5], rtol=1e-6)


def test_a_group_counts_those_of_its_tasks_that_the_model_has():
  tasks = [PUBLISHED[2], PUBLISHED[0]]
  scores = score_of({}, tasks, np.float32([[0.2, 0.5]]))
  np.testing.assert_allclose(scores, [11 * 0.2 + 0.5 * 0.5], rtol=1e-6)
  np.testing.assert_allclose(score_of({}, tasks[1:], np.float32([[0.5]])), [0.25])


def test_tasks_are_found_by_name_whatever_their_order():
  p = uniform(PUBLISHED)
  order = np.random.default_rng(1).permutation(10)
  shuffled = score_of({}, [PUBLISHED[i] for i in order], p[:, order])
  np.testing.assert_allclose(shuffled, score_of({}, PUBLISHED, p), rtol=1e-5, atol=1e-4)


def test_weights_can_be_changed_one_by_one():
  p = uniform(PUBLISHED)
  scores = score_of({}, PUBLISHED, p)
  changed = score_of({"weights": {"recap.engagement.is_replied": 0}}, PUBLISHED, p)
  np.testing.assert_allclose(scores - changed, 27 * p[:, 5], rtol=1e-3, atol=1e-3)


def test_without_groups_every_task_counts():
  p = uniform(PUBLISHED)
  together = score_of({"only_largest_of": []}, PUBLISHED, p)
  alone = score_of({}, PUBLISHED, p)
  smaller = np.minimum(p[:, 1], p[:, 2])
  np.testing.assert_allclose(together - alone, 11 * smaller, rtol=1e-3, atol=1e-3)


def test_squash_keeps_scores_positive_and_their_order():
  p = uniform(PUBLISHED)
  p[0], p[1] = 0.0, 1.0
  p[2], p[2, [3, 7]] = 0.0, 1.0
  plain = score_of({}, PUBLISHED, p)
  squashed = score_of({"negative_squash_epsilon": 0.001}, PUBLISHED, p)
  assert (plain < 0).sum() > 50
  assert (plain > 0).sum() > 20
  assert (squashed >= 0).all()
  assert (squashed[plain < 0] < 0.001).all()
  np.testing.assert_allclose(squashed[plain >= 0], plain[plain >= 0] + 0.001, rtol=1e-5)
  np.testing.assert_allclose(squashed[plain < 0].max() / 0.001, 443 / (443 + 126.505), rtol=0.1)
  assert squashed[2] == 0.0
  order = np.argsort(plain, kind="stable")
  assert (np.diff(squashed[order]) >= 0).all()


def test_squash_without_any_weight():
  config = {"weights": {"a": 0.0}, "negative_squash_epsilon": 0.5}
  np.testing.assert_array_equal(score_of(config, ["a"], np.float32([[0.0], [1.0]])), [0.5, 0.5])


def test_has_no_variables():
  layer = Score(ScoreConfig(), PUBLISHED)
  layer(uniform(PUBLISHED))
  assert not layer.variables

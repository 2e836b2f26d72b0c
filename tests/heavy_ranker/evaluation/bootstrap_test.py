"""Tests of `heavy_ranker.evaluation.bootstrap`."""

import math

import numpy as np
import pytest

from heavy_ranker.evaluation import bootstrap, prediction_keys
from heavy_ranker.evaluation.bootstrap import BinnedTask, Resamples, interval
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics


def random_task(size, seed=0):
  generator = np.random.default_rng(seed)
  probabilities = generator.beta(1, 9, size).astype(np.float32)
  return probabilities, generator.random(size) < probabilities


def test_units_are_drawn_once_on_average_with_the_variance_of_a_poisson():
  drawn = np.stack(list(Resamples(20_000, 50, seed=1)))
  assert drawn.mean() == pytest.approx(1, abs=0.01)
  assert drawn.var() == pytest.approx(1, abs=0.01)
  assert (drawn == 0).mean() == pytest.approx(math.exp(-1), abs=0.005)
  assert np.array_equal(drawn, np.stack(list(Resamples(20_000, 50, seed=1))))
  assert not np.array_equal(drawn, np.stack(list(Resamples(20_000, 50, seed=2))))


def test_bins_hardly_change_a_metric():
  keys = prediction_keys.encode(*random_task(30_000))
  exact = threshold_free_metrics(PredictionGroups.from_keys(keys, 1.0, 20.0))
  assert BinnedTask(keys, 1.0, 20.0).metrics() == pytest.approx(exact, rel=2e-3)


def test_a_resample_counts_examples_as_often_as_they_were_drawn():
  probabilities, labels = random_task(400)
  keys = prediction_keys.encode(probabilities, labels)
  times = np.random.default_rng(3).poisson(1, 400)
  actual = BinnedTask(keys, 1.0, 1.0).metrics(times.astype(np.float64))
  expected = threshold_free_metrics(PredictionGroups.from_keys(np.repeat(keys, times)))
  assert actual == pytest.approx(expected, rel=5e-3)


def test_intervals_of_a_mean_are_those_of_the_normal_distribution():
  values = np.random.default_rng(0).normal(5, 2, 1000)
  means = bootstrap.mean_resamples(
    {"a": values}, {"a": np.ones(1000)}, Resamples(1000, 2000, seed=0)
  )
  low, high = interval(means["a"], values.mean(), values.mean(), 0.95)
  half = 1.96 * values.std() / math.sqrt(1000)
  assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
  assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_alike_examples_of_a_user_widen_the_interval():
  probabilities, labels = random_task(2000)
  keys = np.repeat(prediction_keys.encode(probabilities, labels), 9)
  widths = []
  for units in (np.arange(18_000), np.arange(18_000) // 9):
    resamples = Resamples(int(units.max()) + 1, 60, seed=0)
    (drawn,) = bootstrap.task_resamples([BinnedTask(keys, 1.0, 1.0)], units, resamples)
    low, high = interval(drawn["auroc"], 0.7, 0.7, 0.9)
    widths.append(high - low)
  assert widths[1] / widths[0] == pytest.approx(3, rel=0.35)


def test_an_interval_of_a_sample_is_moved_and_shrunk():
  low, high = interval(np.linspace(0, 2, 101), 1.0, 5.0, 0.9, scale=0.5)
  assert (low, high) == pytest.approx((4.55, 5.45))


def test_a_metric_that_few_resamples_define_has_no_interval():
  assert interval(np.full(100, np.nan), 1.0, 1.0, 0.9) is None
  assert interval(np.array([0.1] * 49 + [np.nan] * 51), 0.1, 0.1, 0.9) is None
  assert interval(np.ones(100), math.nan, math.nan, 0.9) is None
  assert bootstrap.mean_resamples({}, {}, Resamples(3, 10, 0)) == {}

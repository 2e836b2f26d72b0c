"""Tests of `heavy_ranker.evaluation.probability_histogram` and of the errors it brings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation import approximation_errors, prediction_keys, probability_histogram
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics
from heavy_ranker.evaluation.probability_histogram import ProbabilityHistogram, bin_of
from heavy_ranker.evaluation.reliability import reliability

EDGES = probability_histogram.bin_edges()


def test_edges_rise_from_0_to_1():
  assert EDGES.shape == (probability_histogram.NUM_BINS + 1,)
  assert (EDGES[0], EDGES[-1]) == (0.0, 1.0)
  assert (np.diff(EDGES) >= 0).all()


@settings(max_examples=300)
@given(st.floats(0, 1, width=32) | st.sampled_from([0.5, 1 - 2.0**-24, 2.0**-40]))
def test_a_prediction_lies_between_the_edges_of_its_bin(probability):
  found = bin_of(np.array([probability], np.float32))[0]
  lower, upper = EDGES[found], EDGES[found + 1]
  assert lower <= probability <= upper
  nearest = min(max(probability, 2.0**-40), max(1 - probability, 2.0**-24))
  assert upper - lower <= max(nearest / 1024 * 1.01, 2.0**-24)


@settings(max_examples=300)
@given(st.tuples(*[st.floats(0, 1, width=32)] * 2))
def test_bins_rise_with_the_predictions(pair):
  low, high = bin_of(np.sort(np.array(pair, np.float32)))
  assert low <= high


def coarse_task(seed, spread):
  """Many predictions to a bin, where order inside a bin matters."""
  generator = np.random.default_rng(seed)
  probabilities = (0.3 + spread * generator.random((3000, 1))).astype(np.float32)
  labels = generator.random((3000, 1)) < 0.1 + 0.6 * (probabilities - 0.3) / spread
  return probabilities, labels


@pytest.mark.parametrize("spread", [1e-4, 1e-3, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_below_its_bound(seed, spread):
  probabilities, labels = coarse_task(seed, spread)
  histogram = ProbabilityHistogram(1)
  histogram.add(probabilities[:1000], labels[:1000])
  histogram.add(probabilities[1000:], labels[1000:])
  binned = histogram.groups(0, 2.0, 9.0)
  keys = prediction_keys.encode(probabilities[:, 0], labels[:, 0])
  exact = PredictionGroups.from_keys(keys, 2.0, 9.0)
  bounds = approximation_errors.bounds(binned, *histogram.edges(0))
  actual, expected = threshold_free_metrics(binned), threshold_free_metrics(exact)
  # One calibration bin: with more, the bins' ends move, which is no error of the sums.
  for values, groups in ((actual, binned), (expected, exact)):
    values["expected_calibration_error"] = reliability(groups, 1).expected_calibration_error()
  for name, bound in bounds.items():
    assert abs(actual[name] - expected[name]) <= bound * (1 + 1e-9), name
    assert bound > 0
  assert bounds["auroc"] < 0.01 or spread < 0.1

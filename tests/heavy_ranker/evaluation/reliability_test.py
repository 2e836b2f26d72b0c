"""Tests of `heavy_ranker.evaluation.reliability`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.evaluation import prediction_keys
from heavy_ranker.evaluation.prediction_groups import PredictionGroups
from heavy_ranker.evaluation.reliability import reliability


def groups_of(probabilities, labels, *class_weights):
  keys = prediction_keys.encode(np.array(probabilities, np.float32), np.array(labels))
  return PredictionGroups.from_keys(keys, *class_weights)


def test_bins_worked_by_hand():
  groups = groups_of([0.125, 0.25, 0.5, 0.75], [0, 0, 1, 0], 2.0, 1.0)
  # Weights 1, 1, 2, 1 of 5: the middles lie at 0.1, 0.3, 0.6 and 0.9.
  bins = reliability(groups, 2)
  assert bins.predicted == pytest.approx([0.1875, (2 * 0.5 + 0.75) / 3])
  assert bins.observed == pytest.approx([0, 2 / 3])
  assert (bins.weight.tolist(), bins.examples.tolist()) == ([2, 3], [2, 2])
  gap = 2 / 3 - (2 * 0.5 + 0.75) / 3
  assert bins.expected_calibration_error() == pytest.approx(0.4 * 0.1875 + 0.6 * abs(gap))


@given(
  st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), max_size=30),
  st.integers(1, 12),
)
def test_bins_hold_everything_once_and_part_no_equals(pairs, num_bins):
  probabilities, labels = zip(*pairs) if pairs else ((), ())
  bins = reliability(groups_of(probabilities, labels), num_bins)
  assert bins.weight.sum() == bins.examples.sum() == len(pairs)
  assert np.dot(bins.predicted, bins.weight) == pytest.approx(sum(probabilities))
  assert np.dot(bins.observed, bins.weight) == pytest.approx(sum(labels))
  assert (np.diff(bins.predicted) > 0).all()
  assert len(bins.weight) <= min(num_bins, len(set(probabilities)))
  error = bins.expected_calibration_error()
  assert math.isnan(error) if not pairs else 0 <= error <= 1


def test_even_bins_of_distinct_predictions_have_equal_weight():
  probabilities = (np.arange(1000) + 0.5) / 1000
  bins = reliability(groups_of(probabilities, np.zeros(1000, bool)), 20)
  assert bins.weight.tolist() == [50.0] * 20

"""Tests of `heavy_ranker.evaluation.prediction_groups` and of the keys they are made from."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation import metrics, prediction_keys
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics

PROBABILITIES = st.floats(0, 1, width=32) | st.sampled_from([-0.0, 0.0, 0.25, 1.0, 1e-30])


@st.composite
def examples(draw):
  size = draw(st.integers(1, 40))
  probabilities = draw(st.lists(PROBABILITIES, min_size=size, max_size=size))
  labels = draw(st.lists(st.booleans(), min_size=size, max_size=size))
  return np.array(probabilities, np.float32), np.array(labels)


@given(examples())
def test_keys_keep_predictions_and_labels_and_sort_like_them(task):
  probabilities, labels = task
  keys = prediction_keys.encode(probabilities, labels)
  assert np.array_equal(prediction_keys.probabilities_of(keys), probabilities)
  assert np.array_equal(prediction_keys.labels_of(keys), labels)
  pairs = sorted(zip(probabilities.tolist(), labels.tolist()))
  assert prediction_keys.probabilities_of(np.sort(keys)).tolist() == [p for p, _ in pairs]
  assert prediction_keys.labels_of(np.sort(keys)).tolist() == [y for _, y in pairs]


@settings(deadline=None)
@given(examples(), st.sampled_from([(1.0, 1.0), (1.0, 50.0), (4.0, 0.5)]))
def test_metrics_of_groups_equal_those_of_examples(task, class_weights):
  probabilities, labels = task
  positive_weight, negative_weight = class_weights
  weights = np.where(labels, positive_weight, negative_weight)
  expected = metrics.evaluate_task(probabilities, labels, weights)
  groups = PredictionGroups.from_keys(prediction_keys.encode(*task), *class_weights)
  actual = threshold_free_metrics(groups)
  for name in set(expected) - {"examples", "positives"}:
    assert actual[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9, nan_ok=True), name
  predicted, observed = (expected[f"{kind}click_through_rate"] for kind in ("predicted_", ""))
  ratio = predicted / observed if observed else math.nan
  assert actual["predicted_to_actual_ratio"] == pytest.approx(ratio, nan_ok=True)


def test_no_examples_leave_everything_undefined():
  groups = PredictionGroups.from_keys(np.zeros(0, np.uint32))
  assert all(map(math.isnan, threshold_free_metrics(groups).values()))

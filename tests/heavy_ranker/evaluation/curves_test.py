"""Tests of `heavy_ranker.evaluation.curves`."""

import numpy as np
import pytest
import sklearn.metrics

from heavy_ranker.evaluation import curves, prediction_keys
from heavy_ranker.evaluation.prediction_groups import PredictionGroups


def random_groups(size):
  generator = np.random.default_rng(0)
  probabilities = generator.beta(1, 5, size).astype(np.float32)
  labels = generator.random(size) < probabilities
  keys = prediction_keys.encode(probabilities, labels)
  return PredictionGroups.from_keys(keys), probabilities, labels


def test_short_curves_are_scikit_learns():
  groups, probabilities, labels = random_groups(150)
  curve = curves.roc_curve(groups)
  false, true, _ = sklearn.metrics.roc_curve(labels, probabilities, drop_intermediate=False)
  assert curve["false_positive_rate"] == pytest.approx(false)
  assert curve["true_positive_rate"] == pytest.approx(true)
  curve = curves.precision_recall_curve(groups)
  precision, recall, _ = sklearn.metrics.precision_recall_curve(labels, probabilities)
  # scikit-learn's run the other way, and end in a point (0, 1) of no threshold.
  assert curve["precision"] == pytest.approx(precision[-2::-1])
  assert curve["recall"] == pytest.approx(recall[-2::-1])


def test_long_curves_are_thinned_and_keep_their_ends():
  groups, probabilities, labels = random_groups(50_000)
  curve = curves.roc_curve(groups)
  x, y = curve["false_positive_rate"], curve["true_positive_rate"]
  assert 300 < len(x) <= curves.MOST_POINTS
  assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
  auroc = sklearn.metrics.roc_auc_score(labels, probabilities)
  assert np.trapz(y, x) == pytest.approx(auroc, abs=1e-4)
  curve = curves.precision_recall_curve(groups)
  assert 300 < len(curve["recall"]) <= curves.MOST_POINTS
  assert curve["recall"][-1] == 1


def test_histograms_hold_everything():
  groups, probabilities, labels = random_groups(1000)
  found = curves.probability_histogram(groups)
  assert sum(found["positives"]) == labels.sum()
  assert sum(found["negatives"]) == 1000 - labels.sum()
  assert len(found["edges"]) == len(found["positives"]) + 1
  assert found["edges"] == sorted(found["edges"])
  found = curves.score_histogram(probabilities)
  assert sum(found["counts"]) == 1000
  assert found["edges"][0] == pytest.approx(probabilities.min())


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_prediction_fills_one_bin(value):
  keys = prediction_keys.encode(np.full(5, value), np.array([True] * 5))
  found = curves.probability_histogram(PredictionGroups.from_keys(keys))
  assert sorted(found["positives"])[-2:] == [0, 5]
  assert sum(curves.score_histogram(np.full(5, value, np.float32))["counts"]) == 5

"""How far metrics taken from bins can be from the exact ones: bounds, computed from the bins."""

import numpy as np

from heavy_ranker.evaluation import prediction_groups
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, losses


def bounds(groups: PredictionGroups, lower: np.ndarray, upper: np.ndarray) -> dict[str, float]:
  """Returns by metric how far its value from `groups` is from the exact one at most.

  Args:
    groups: the bins that hold examples; both classes have some.
    lower: the lower end of each bin, [groups].
    upper: its upper end.
  """
  return {
    "auroc": _auroc_bound(groups),
    "average_precision": _average_precision_bound(groups),
    "normalized_relative_cross_entropy": _normalized_bound(groups, lower, upper),
    "expected_calibration_error": _calibration_bound(groups, lower, upper),
  }


def _auroc_bound(groups: PredictionGroups) -> float:
  """Half the share of pairs that share a bin: in truth each is won, lost or tied."""
  positive, negative = groups.positive, groups.negative
  return float(np.dot(positive, negative) / (positive.sum() * negative.sum()) / 2)


def _average_precision_bound(groups: PredictionGroups) -> float:
  """All positives of a bin above its negatives at best, all below at worst."""
  positive, negative = groups.positive[::-1], groups.negative[::-1]
  true_positives, false_positives = np.cumsum(positive), np.cumsum(negative)
  best = true_positives / np.maximum(true_positives + false_positives - negative, 1e-300)
  before = true_positives - positive
  worst = before / np.maximum(before + false_positives, 1e-300)
  value = prediction_groups.average_precision(groups.positive, groups.negative)
  shares = positive / true_positives[-1]
  return float(max(best @ shares - value, value - worst @ shares))


def _normalized_bound(groups: PredictionGroups, lower: np.ndarray, upper: np.ndarray) -> float:
  """Cross entropy changes monotonically within a bin, and the scale within the bins' ends."""
  positive, negative = groups.positive, groups.negative
  weight = positive + negative
  positives, total = positive.sum(), weight.sum()
  rate = positives / total
  predicted = [float(np.dot(ends, weight)) for ends in (lower, upper)]
  if not predicted[0] > 0:
    return float("inf")
  smallest, largest = positives / predicted[1], positives / predicted[0]
  least = np.dot(losses(upper * largest)[0], positive)
  least += np.dot(losses(lower * smallest)[1], negative)
  most = np.dot(losses(lower * smallest)[0], positive)
  most += np.dot(losses(upper * largest)[1], negative)
  # 100 times the loss in units of the baseline's.
  low = prediction_groups.relative_cross_entropy(float(most / total), rate)
  high = prediction_groups.relative_cross_entropy(float(least / total), rate)
  return high - low


def _calibration_bound(groups: PredictionGroups, lower: np.ndarray, upper: np.ndarray) -> float:
  """The mean prediction of a calibration bin moves by half a bin's width at most."""
  weight = groups.positive + groups.negative
  return float(np.dot((upper - lower) / 2, weight) / weight.sum())

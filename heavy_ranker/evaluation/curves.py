"""ROC and precision-recall curves, thinned for plots, and logit-spaced histograms."""

import numpy as np

from heavy_ranker.evaluation.prediction_groups import PredictionGroups

MOST_POINTS = 400
HISTOGRAM_BINS = 60
_SMALLEST = 1e-6


def roc_curve(groups: PredictionGroups) -> dict[str, list[float]]:
  """Returns the curve from (0, 0) to (1, 1), at most MOST_POINTS points; empty if a class lacks."""
  true_positives, false_positives = _cumulated(groups)
  if not true_positives[-1] > 0 or not false_positives[-1] > 0:
    return {"false_positive_rate": [], "true_positive_rate": []}
  x, y = false_positives / false_positives[-1], true_positives / true_positives[-1]
  kept = _thin(x, y)
  return {"false_positive_rate": x[kept].tolist(), "true_positive_rate": y[kept].tolist()}


def precision_recall_curve(groups: PredictionGroups) -> dict[str, list[float]]:
  """Returns recall, ascending, and precision, at most MOST_POINTS points; empty if a class lacks.

  Unlike scikit-learn's, the curve starts with the highest prediction rather than with a made-up
  precision of 1.
  """
  true_positives, false_positives = (values[1:] for values in _cumulated(groups))
  if not true_positives.size or not true_positives[-1] > 0 or not false_positives[-1] > 0:
    return {"recall": [], "precision": []}
  recall = true_positives / true_positives[-1]
  precision = true_positives / (true_positives + false_positives)
  kept = _thin(recall, precision)
  return {"recall": recall[kept].tolist(), "precision": precision[kept].tolist()}


def probability_histogram(groups: PredictionGroups) -> dict[str, list[float]]:
  """Returns the weights of both classes in logit-spaced bins between the extreme predictions."""
  if not groups.probabilities.size:
    return {"edges": [], "positives": [], "negatives": []}
  clipped = np.clip(groups.probabilities, _SMALLEST, 1 - _SMALLEST)
  logits = np.log(clipped) - np.log1p(-clipped)
  low, high = logits[0], logits[-1]
  edges = np.linspace(low, high if high > low else low + 1e-3, HISTOGRAM_BINS + 1)
  positives, _ = np.histogram(logits, edges, weights=groups.positive)
  negatives, _ = np.histogram(logits, edges, weights=groups.negative)
  probabilities = 1 / (1 + np.exp(-edges))
  return {
    "edges": probabilities.tolist(),
    "positives": positives.tolist(),
    "negatives": negatives.tolist(),
  }


def score_histogram(scores: np.ndarray) -> dict[str, list[float]]:
  """Returns the counts of scores [n] in bins of equal width."""
  counts, edges = np.histogram(scores.astype(np.float64), HISTOGRAM_BINS)
  return {"edges": edges.tolist(), "counts": counts.tolist()}


def _cumulated(groups: PredictionGroups) -> tuple[np.ndarray, np.ndarray]:
  """Weight of the positives and negatives predicted at least each level, from the highest down."""
  weighty = groups.positive + groups.negative > 0
  return (
    np.concatenate([[0.0], np.cumsum(groups.positive[weighty][::-1])]),
    np.concatenate([[0.0], np.cumsum(groups.negative[weighty][::-1])]),
  )


def _thin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Positions of at most MOST_POINTS points, the ends among them, even along the curve."""
  if x.size <= MOST_POINTS:
    return np.arange(x.size)
  length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
  targets = np.linspace(0.0, length[-1], MOST_POINTS)
  return np.unique(np.append(np.searchsorted(length, targets[:-1]), x.size - 1))

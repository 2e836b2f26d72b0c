"""Metrics of one task, in float64 NumPy.

Every metric takes three arrays of shape [n], one entry per example: `probabilities` in [0, 1],
`labels` (0 or 1) and non-negative `weights`. Only the ratios of the weights matter, and an example
of weight 0 counts as absent from everything but `examples` and `positives`.

Every metric raises ValueError for arrays that are not of one shape [n], labels other than 0 and 1,
probabilities outside [0, 1], and weights that are negative; NaN is refused in all three. A metric
that the examples leave undefined is NaN.
"""

from typing import Callable

import numpy as np

from heavy_ranker.evaluation import prediction_groups
from heavy_ranker.evaluation.prediction_groups import EPSILON

_NAN = float("nan")


def relative_cross_entropy(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> float:
  """Relative cross entropy (RCE): the share of the baseline's cross entropy that the model saves.

    RCE = 100 * (1 - CE(probabilities) / CE(CTR))

  where CE is `log_loss` and the baseline predicts the weighted mean label, CTR, for every example.

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    Percent, at most 100: 0 is no better than the baseline, below 0 is worse. NaN unless each class
    has an example of positive weight.
  """
  return _relative_cross_entropy(*_checked(probabilities, labels, weights))


def normalized_relative_cross_entropy(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> float:
  """Normalized relative cross entropy (NRCE): RCE once the predictions have the right mean.

    NRCE = RCE(probabilities * CTR / PCTR)

  The scaled predictions have the labels' weighted mean, so that NRCE, unlike RCE, does not charge
  the model for predicting too much or too little by a constant factor. Products above 1 are clipped
  as every probability is.

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    Percent, at most 100. NaN unless each class has an example of positive weight, and where every
    prediction is 0, as no factor then gives them the right mean.
  """
  probabilities, labels, weights = _checked(probabilities, labels, weights)
  predicted_mean = _weighted_mean(probabilities, weights)
  if not predicted_mean > 0:
    return _NAN
  scaled = probabilities / predicted_mean * _weighted_mean(labels, weights)
  return _relative_cross_entropy(scaled, labels, weights)


def log_loss(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
  """Cross entropy (log loss) of the predictions.

    CE = sum(w * (-y * log(p + eps) - (1 - y) * log(1 - p + eps))) / sum(w)

  with p clipped to [eps, 1 - eps] and eps = `EPSILON`.

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    Nats per unit of weight, at most -log(2 * eps), about 15.4. NaN if no example has weight.
  """
  probabilities, labels, weights = _checked(probabilities, labels, weights)
  return _weighted_mean(_cross_entropy(probabilities, labels), weights)


def auroc(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
  """Area under the ROC curve: the chance that a positive is ranked above a negative.

    AUROC = sum_ij(w_i * w_j * (1[p_i > p_j] + 1[p_i = p_j] / 2)) / sum_ij(w_i * w_j)

  over every positive i and negative j, that is, the weighted Mann-Whitney U as a share of its
  maximum. Exact (no thresholds are binned), in O(n log n).

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    A share in [0, 1]; 0.5 is a random order. NaN unless each class has an example of positive
    weight.
  """
  probabilities, labels, weights = _checked(probabilities, labels, weights)
  if not _has_both_classes(labels, weights):
    return _NAN
  return prediction_groups.auroc(*_weights_by_probability(probabilities, labels, weights))


def average_precision(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
  """Average precision (AP): the area under the precision-recall curve, as a step function.

    AP = sum_k((R_k - R_(k-1)) * P_k)

  over the distinct predictions from the highest down, where P_k and R_k are the weighted precision
  and recall of calling positive whatever is predicted at least the k-th of them, and R_0 = 0. This
  is scikit-learn's `average_precision_score`; nothing is interpolated.

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    A share in [0, 1]; a random order has about the CTR. NaN unless each class has an example of
    positive weight.
  """
  probabilities, labels, weights = _checked(probabilities, labels, weights)
  if not _has_both_classes(labels, weights):
    return _NAN
  groups = _weights_by_probability(probabilities, labels, weights)
  return prediction_groups.average_precision(*groups)


def click_through_rate(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
  """Click-through rate (CTR): the weighted mean label, sum(w * y) / sum(w).

  Args:
    probabilities: predictions in [0, 1], [n]; checked, not used.
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    A share in [0, 1]. NaN if no example has weight.
  """
  _, labels, weights = _checked(probabilities, labels, weights)
  return _weighted_mean(labels, weights)


def predicted_click_through_rate(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> float:
  """Predicted click-through rate (PCTR): the weighted mean prediction, sum(w * p) / sum(w).

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n]; checked, not used.
    weights: weight of each example, [n].

  Returns:
    A share in [0, 1]. NaN if no example has weight.
  """
  probabilities, _, weights = _checked(probabilities, labels, weights)
  return _weighted_mean(probabilities, weights)


def examples(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
  """Number of examples, n, whatever their weights.

  Args:
    probabilities: predictions in [0, 1], [n]; checked, not used.
    labels: 0 or 1, [n].
    weights: weight of each example, [n]; checked, not used.

  Returns:
    A whole number, as a float like the other metrics; never NaN.
  """
  _, labels, _ = _checked(probabilities, labels, weights)
  return float(labels.size)


def positives(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
  """Number of examples with label 1, whatever their weights.

  Args:
    probabilities: predictions in [0, 1], [n]; checked, not used.
    labels: 0 or 1, [n].
    weights: weight of each example, [n]; checked, not used.

  Returns:
    A whole number, as a float like the other metrics; never NaN.
  """
  _, labels, _ = _checked(probabilities, labels, weights)
  return float(np.count_nonzero(labels))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
  "relative_cross_entropy": relative_cross_entropy,
  "normalized_relative_cross_entropy": normalized_relative_cross_entropy,
  "log_loss": log_loss,
  "auroc": auroc,
  "average_precision": average_precision,
  "click_through_rate": click_through_rate,
  "predicted_click_through_rate": predicted_click_through_rate,
  "examples": examples,
  "positives": positives,
}


def evaluate_task(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
  """Every metric of one task.

  Args:
    probabilities: predictions in [0, 1], [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    The value of each metric by name, in the order of `METRICS`; NaN where the metric is undefined.
  """
  arrays = _checked(probabilities, labels, weights)
  return {name: metric(*arrays) for name, metric in METRICS.items()}


def _checked(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The three arrays in float64, or ValueError saying what is wrong with them."""
  probabilities = np.asarray(probabilities, dtype=np.float64)
  labels = np.asarray(labels, dtype=np.float64)
  weights = np.asarray(weights, dtype=np.float64)
  shapes = {"probabilities": probabilities.shape, "labels": labels.shape, "weights": weights.shape}
  if labels.ndim != 1 or len(set(shapes.values())) > 1:
    raise ValueError(f"probabilities, labels and weights must be of one shape [n], found {shapes}")
  _require(labels, (labels == 0) | (labels == 1), "labels must be 0 or 1")
  _require(
    probabilities, (probabilities >= 0) & (probabilities <= 1), "probabilities must be in [0, 1]"
  )
  _require(weights, (weights >= 0) & np.isfinite(weights), "weights must be finite and at least 0")
  return probabilities, labels, weights


def _require(values: np.ndarray, valid: np.ndarray, message: str) -> None:
  if valid.all():
    return
  invalid = np.flatnonzero(~valid)
  first = invalid[0]
  raise ValueError(
    f"{message}: found {invalid.size} of {values.size} that are not, the first being "
    f"{values[first]:.9g} at index {first}"
  )


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
  total = weights.sum()
  return float(np.dot(values, weights) / total) if total > 0 else _NAN


def _has_both_classes(labels: np.ndarray, weights: np.ndarray) -> bool:
  weighty = labels[weights > 0]
  return bool(weighty.any() and not weighty.all())


def _cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Cross entropy of each prediction, in nats; here a label may be a mean of labels."""
  probabilities = np.clip(probabilities, EPSILON, 1 - EPSILON)
  positive = -labels * np.log(probabilities + EPSILON)
  return positive - (1 - labels) * np.log(1 - probabilities + EPSILON)


def _relative_cross_entropy(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> float:
  if not _has_both_classes(labels, weights):
    return _NAN
  mean_label = _weighted_mean(labels, weights)
  model = _weighted_mean(_cross_entropy(probabilities, labels), weights)
  baseline = float(_cross_entropy(mean_label, mean_label))
  # With weights some 1e300 apart the mean label can round to 0, and the baseline's loss with it.
  return 100 * (1 - model / baseline) if baseline > 0 else _NAN


def _weights_by_probability(
  probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Total weight of the positives and of the negatives at each distinct probability, ascending."""
  _, groups = np.unique(probabilities, return_inverse=True)
  positive = np.bincount(groups, weights=weights * labels)
  negative = np.bincount(groups, weights=weights * (1 - labels))
  return positive, negative

"""Examples grouped by their prediction, and the metrics that need nothing more of a task.

A group is a distinct prediction, or a bin of a histogram. Positives of a task share one weight, and
so do its negatives: sampling rates are given by class.
"""

from dataclasses import dataclass

import numpy as np

from heavy_ranker.evaluation import prediction_keys

EPSILON = 1e-7

_NAN = float("nan")


@dataclass(frozen=True)
class PredictionGroups:
  """The examples of a task by prediction.

  Attributes:
    probabilities: the prediction of each group, ascending, float64 [groups].
    positive_counts: how many of its examples have label 1, [groups]; resampled examples count as
      often as they were drawn.
    negative_counts: how many have label 0, [groups].
    positive_weight: the weight of an example with label 1.
    negative_weight: the weight of an example with label 0.
  """

  probabilities: np.ndarray
  positive_counts: np.ndarray
  negative_counts: np.ndarray
  positive_weight: float = 1.0
  negative_weight: float = 1.0

  @classmethod
  def from_keys(
    cls, keys: np.ndarray, positive_weight: float = 1.0, negative_weight: float = 1.0
  ) -> "PredictionGroups":
    """Groups examples, given by their keys [n], by distinct prediction."""
    keys = np.sort(keys)
    bits = keys >> np.uint32(1)
    starts = np.flatnonzero(np.concatenate([[True], bits[1:] != bits[:-1]])[: keys.size])
    ends = np.append(starts[1:], keys.size).astype(np.int64)
    labels_before = np.concatenate([[0], np.cumsum(keys & np.uint32(1), dtype=np.int64)])
    positives = labels_before[ends] - labels_before[starts]
    probabilities = prediction_keys.probabilities_of(keys[starts]).astype(np.float64)
    negatives = ends - starts - positives
    return cls(probabilities, positives, negatives, positive_weight, negative_weight)

  @property
  def positive(self) -> np.ndarray:
    """Weight of the positives of each group, float64 [groups]."""
    return self.positive_counts * float(self.positive_weight)

  @property
  def negative(self) -> np.ndarray:
    """Weight of the negatives of each group, float64 [groups]."""
    return self.negative_counts * float(self.negative_weight)


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
  """Area under the ROC curve of groups [groups], ascending by prediction, given by class weights.

  See `heavy_ranker.evaluation.metrics.auroc`.
  """
  negative_up_to = np.cumsum(negative)
  total = positive.sum() * negative_up_to[-1] if negative.size else 0.0
  if not total > 0:
    return _NAN
  # Rounding can carry a perfect order just past 1.
  return min(1.0, float(np.dot(positive, negative_up_to - negative / 2) / total))


def average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
  """Average precision of groups [groups], ascending by prediction, given by class weights.

  See `heavy_ranker.evaluation.metrics.average_precision`.
  """
  weighty = positive + negative > 0
  positive, negative = positive[weighty][::-1], negative[weighty][::-1]
  true_positives, false_positives = np.cumsum(positive), np.cumsum(negative)
  if not positive.any() or not negative.any():
    return _NAN
  precision = true_positives / (true_positives + false_positives)
  return min(1.0, float(np.dot(precision, positive) / true_positives[-1]))


def losses(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the cross entropy, in nats, of each prediction if its label is 1, and if it is 0."""
  clipped = np.clip(probabilities, EPSILON, 1 - EPSILON)
  return -np.log(clipped + EPSILON), -np.log(1 - clipped + EPSILON)


def threshold_free_metrics(groups: PredictionGroups) -> dict[str, float]:
  """Returns every metric of groups that takes no user and no bin; NaN where undefined."""
  positive, negative = groups.positive, groups.negative
  predicted_sum = float(np.dot(groups.probabilities, positive + negative))
  positive_loss, negative_loss = losses(groups.probabilities)
  values = metrics_of_sums(
    float(positive.sum()),
    float(negative.sum()),
    predicted_sum,
    float(np.dot(positive_loss, positive) + np.dot(negative_loss, negative)),
  )
  values["normalized_relative_cross_entropy"] = _normalized(groups, values)
  values["auroc"] = auroc(positive, negative)
  values["average_precision"] = average_precision(positive, negative)
  return values


def metrics_of_sums(
  positive: float, negative: float, predicted: float, loss: float
) -> dict[str, float]:
  """Returns the metrics that sums over the examples decide; NaN where undefined.

  Args:
    positive: weight of the examples with label 1.
    negative: weight of those with label 0.
    predicted: sum of weight * prediction.
    loss: sum of weight * cross entropy.
  """
  weight = positive + negative
  if not weight > 0:
    names = ("click_through_rate", "predicted_click_through_rate", "predicted_to_actual_ratio")
    return dict.fromkeys((*names, "log_loss", "relative_cross_entropy"), _NAN)
  rate, mean_loss = positive / weight, loss / weight
  return {
    "click_through_rate": rate,
    "predicted_click_through_rate": predicted / weight,
    "predicted_to_actual_ratio": predicted / positive if positive > 0 else _NAN,
    "log_loss": mean_loss,
    "relative_cross_entropy": relative_cross_entropy(mean_loss, rate),
  }


def relative_cross_entropy(mean_loss: float, mean_label: float) -> float:
  """Returns 100 (1 - mean_loss / the loss of predicting mean_label); NaN unless it is in (0, 1)."""
  if not 0.0 < mean_label < 1.0:
    return _NAN
  if_positive, if_negative = losses(np.array([mean_label]))
  baseline = mean_label * float(if_positive[0]) + (1 - mean_label) * float(if_negative[0])
  return 100 * (1 - mean_loss / baseline) if baseline > 0 else _NAN


def _normalized(groups: PredictionGroups, values: dict[str, float]) -> float:
  rate, predicted = values["click_through_rate"], values["predicted_click_through_rate"]
  if not predicted > 0:
    return _NAN
  positive_loss, negative_loss = losses(groups.probabilities / predicted * rate)
  positive, negative = groups.positive, groups.negative
  loss = np.dot(positive_loss, positive) + np.dot(negative_loss, negative)
  return relative_cross_entropy(float(loss / (positive.sum() + negative.sum())), rate)

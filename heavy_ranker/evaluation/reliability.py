"""Calibration by level of prediction: reliability bins and the expected calibration error."""

from dataclasses import dataclass

import numpy as np

from heavy_ranker.evaluation.prediction_groups import PredictionGroups


@dataclass(frozen=True)
class Reliability:
  """Bins of about equal weight, ascending by prediction.

  Attributes:
    predicted: the weighted mean prediction of each bin, float64 [bins].
    observed: its weighted mean label.
    weight: its weight.
    examples: how many examples it holds.
  """

  predicted: np.ndarray
  observed: np.ndarray
  weight: np.ndarray
  examples: np.ndarray

  def expected_calibration_error(self) -> float:
    """Returns sum_b(weight_b * |predicted_b - observed_b|) / sum_b(weight_b); NaN without any.

    Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning,
    AAAI 2015; here with bins of equal weight rather than of equal width.
    """
    total = self.weight.sum()
    gaps = np.abs(self.predicted - self.observed)
    return float(np.dot(gaps, self.weight) / total) if total > 0 else float("nan")


def reliability(groups: PredictionGroups, num_bins: int) -> Reliability:
  """Cuts groups into `num_bins` bins of equal weight; equal predictions stay together.

  A group belongs to the bin that holds the middle of its weight, so that a bin is empty, and left
  out, where one prediction has more than its share.
  """
  positive, negative = groups.positive, groups.negative
  weight = positive + negative
  up_to = np.cumsum(weight)
  total = up_to[-1] if weight.size else 0.0
  if not total > 0:
    return Reliability(*np.zeros((4, 0)))
  middles = (up_to - weight / 2) / total
  bins = np.minimum((middles * num_bins).astype(np.int64), num_bins - 1)

  def sums(values: np.ndarray) -> np.ndarray:
    return np.bincount(bins, weights=values, minlength=num_bins)

  bin_weight = sums(weight)
  used = bin_weight > 0
  predicted = sums(groups.probabilities * weight)[used] / bin_weight[used]
  examples = sums(groups.positive_counts + groups.negative_counts)[used]
  return Reliability(predicted, sums(positive)[used] / bin_weight[used], bin_weight[used], examples)

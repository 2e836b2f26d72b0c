"""Predictors a model has to beat, measured on the same examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics
from heavy_ranker.evaluation.reliability import reliability

ALWAYS_MEAN = "always_mean"


@dataclass(frozen=True)
class Baseline:
  """A named predictor.

  Attributes:
    name: what it is called in the results.
    predict: the features of a batch, as the input pipeline yields them -> probabilities [n, tasks],
      in the order of the tasks a partition measures.
  """

  name: str
  predict: Callable[[Mapping[str, Any], Sequence[str]], np.ndarray]


def always_mean(
  positives: float, negatives: float, positive_weight: float, negative_weight: float
) -> dict[str, float]:
  """Returns the metrics of predicting the weighted mean label for every example.

  Args:
    positives: how many examples have label 1.
    negatives: how many have label 0.
    positive_weight: the weight of an example with label 1.
    negative_weight: the weight of an example with label 0.
  """
  weight = positives * positive_weight + negatives * negative_weight
  mean = positives * positive_weight / weight if weight > 0 else 0.0
  groups = PredictionGroups(
    np.array([mean]),
    np.array([positives]),
    np.array([negatives]),
    positive_weight,
    negative_weight,
  )
  error = reliability(groups, 1).expected_calibration_error()
  return {
    **threshold_free_metrics(groups),
    "expected_calibration_error": error,
    "examples": float(positives + negatives),
    "positives": float(positives),
  }

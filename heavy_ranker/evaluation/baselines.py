"""Predictors a model has to beat, measured on the same examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.baselines import BaselineConfig
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics
from heavy_ranker.evaluation.reliability import reliability
from tfrecords.recorded_probabilities import probability_features
from tfrecords.schema import Feature

Features = Mapping[str, Any]


def _nothing(_tasks: Sequence[str]) -> dict[str, Feature]:
  return {}


@dataclass(frozen=True)
class Baseline:
  """A named predictor.

  Attributes:
    name: what it is called in the results.
    predict: the features of a batch, as the input pipeline yields them, and the tasks a partition
      measures -> probabilities [n, tasks].
    recorded: the tasks -> the features, beside the model's inputs, that `predict` takes, see
      `tfrecords.recorded_probabilities`.
    is_upper_bound: no model can do better.
  """

  name: str
  predict: Callable[[Features, Sequence[str]], np.ndarray]
  recorded: Callable[[Sequence[str]], Mapping[str, Feature]] = _nothing
  is_upper_bound: bool = False


def recorded_baselines(config: HeavyRankerConfig) -> dict[str, Baseline]:
  """Returns those of `evaluation.baselines` whose predictions lie in the records, by name."""
  return {
    name: _recorded(name, section)
    for name, section in config.evaluation.baselines.items()
    if section.probability_prefix is not None
  }


def _recorded(name: str, section: BaselineConfig) -> Baseline:
  def recorded(tasks: Sequence[str]) -> dict[str, Feature]:
    return probability_features(section.probability_prefix, tasks)

  def predict(features: Features, tasks: Sequence[str]) -> np.ndarray:
    return np.concatenate([features[column].numpy() for column in recorded(tasks)], axis=1)

  return Baseline(name, predict, recorded, section.is_upper_bound)


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

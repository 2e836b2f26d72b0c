"""What is kept of a set of examples of any number: sums, and histograms of the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from heavy_ranker.evaluation import approximation_errors
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics
from heavy_ranker.evaluation.probability_histogram import ProbabilityHistogram
from heavy_ranker.evaluation.reliability import Reliability, reliability
from heavy_ranker.evaluation.task_sums import TaskSums


@dataclass(frozen=True)
class TaskMeasurement:
  """The metrics of one task over one population.

  Attributes:
    groups: the examples by prediction, exact or by bins.
    reliability: the calibration bins.
    values: metric -> value, NaN where undefined; without those that take users.
    errors: metric -> bound of the error, for those that are not exact.
  """

  groups: PredictionGroups
  reliability: Reliability
  values: dict[str, float]
  errors: dict[str, float] = field(default_factory=dict)


class Population:
  """All examples of a partition, or those of a stratum.

  Args:
    class_weights: for each task the weight of a negative and of a positive.
    calibration_bins: bins of the calibration error.

  Attributes:
    examples: how many there are.
  """

  def __init__(self, class_weights: Sequence[tuple[float, float]], calibration_bins: int):
    self._class_weights, self._calibration_bins = class_weights, calibration_bins
    self._sums = TaskSums(len(class_weights))
    self._histogram = ProbabilityHistogram(len(class_weights))
    self.examples = 0

  def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Adds examples: predictions float32 [n, tasks] and their labels, bool [n, tasks]."""
    self._sums.add(probabilities, labels)
    self._histogram.add(probabilities, labels)
    self.examples += len(labels)

  def counts(self, task: int) -> tuple[int, int]:
    """Returns how many negatives and how many positives a task's index has."""
    negatives, positives = self._sums.counts[task]
    return int(negatives), int(positives)

  def measure(self, task: int, keys: Optional[np.ndarray] = None) -> TaskMeasurement:
    """Returns the metrics of a task's index.

    Args:
      task: the index.
      keys: predictions and labels of every example, see `prediction_keys`; None where they are not
        all there, so that the histogram has to do.
    """
    negative_weight, positive_weight = self._class_weights[task]
    weights = {"positive_weight": positive_weight, "negative_weight": negative_weight}
    if keys is not None:
      groups = PredictionGroups.from_keys(keys, **weights)
    else:
      groups = self._histogram.groups(task, **weights)
    bins = reliability(groups, self._calibration_bins)
    negatives, positives = self.counts(task)
    values = {
      **threshold_free_metrics(groups),
      **self._sums.metrics(task, **weights),
      "expected_calibration_error": bins.expected_calibration_error(),
      "examples": float(negatives + positives),
      "positives": float(positives),
    }
    errors: dict[str, float] = {}
    if keys is None and positives and negatives:
      errors = approximation_errors.bounds(groups, *self._histogram.edges(task))
    return TaskMeasurement(groups, bins, values, errors)

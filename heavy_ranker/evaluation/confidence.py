"""The confidence intervals of everything that is measured of a partition."""

import math
from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from heavy_ranker.config.evaluation import RANKING_METRICS
from heavy_ranker.evaluation.bootstrap import (
  BinnedTask,
  Interval,
  Resamples,
  interval,
  mean_resamples,
  task_resamples,
)
from heavy_ranker.evaluation.partition_meter import PartitionMeter
from heavy_ranker.evaluation.partition_users import PartitionUsers

# Moving an interval must not carry these below 0 or above 1.
_SHARES = ("auroc", "average_precision", "grouped_auc", *RANKING_METRICS)
_SHARES += ("click_through_rate", "predicted_click_through_rate")
# Those whose resamples come from users, or that have no interval.
_WITHOUT_BINS = {"grouped_auc", "expected_calibration_error", "examples", "positives"}
_WITHOUT_BINS.update(RANKING_METRICS)

Intervals = dict[str, Interval]


class Confidence:
  """Draws resamples of a partition's users; without them where there is but one user, or no draw.

  Args:
    meter: the partition, read to its end.
    users: its users.
  """

  def __init__(self, meter: PartitionMeter, users: PartitionUsers):
    self._subject, self._store, self._users = meter.subject, meter.store, users
    settings = meter.subject.settings
    self._level = settings.confidence_level
    self._is_on = settings.bootstrap_samples > 0 and users.count > 1
    self._resamples = Resamples(users.count, settings.bootstrap_samples, settings.seed)
    self._scale = math.sqrt(len(meter.store) / meter.everything.examples)

  def of_tasks(self, values: Sequence[Mapping[str, float]]) -> list[Intervals]:
    """Returns the intervals of the metrics that take no users, for each task's values."""
    if not self._is_on or not set(self._subject.metrics) - _WITHOUT_BINS:
      return [{} for _ in values]
    binned = [
      BinnedTask(self._store.keys(task), positive, negative)
      for task, (negative, positive) in enumerate(self._subject.class_weights)
    ]
    drawn = task_resamples(binned, self._users.of_examples, self._resamples)
    return [
      self._intervals(of_task, task.metrics(), metrics)
      for of_task, task, metrics in zip(drawn, binned, values)
    ]

  def of_means(
    self,
    values: Mapping[str, float],
    columns: Mapping[str, np.ndarray],
    weights: Optional[Mapping[str, np.ndarray]] = None,
  ) -> Intervals:
    """Returns the intervals of means over users.

    Args:
      values: name -> the mean.
      columns: name -> each user's value, [users]; empty where there is none.
      weights: name -> the users' weights, [users]; 1 each when None.
    """
    columns = {name: column for name, column in columns.items() if column.size}
    if not self._is_on:
      return {}
    if weights is None:
      weights = {name: np.ones(column.size) for name, column in columns.items()}
    return self._intervals(mean_resamples(columns, weights, self._resamples), values, values)

  def _intervals(
    self,
    drawn: Mapping[str, np.ndarray],
    centers: Mapping[str, float],
    values: Mapping[str, float],
  ) -> Intervals:
    found = {}
    for name, value in values.items():
      if name not in drawn:
        continue
      ends = interval(drawn[name], centers[name], value, self._level, self._scale)
      if ends is not None and name.split("@")[0] in _SHARES:
        ends = (max(ends[0], 0.0), min(ends[1], 1.0))
      if ends is not None:
        found[name] = ends
    return found

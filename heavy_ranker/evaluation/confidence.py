"""The confidence intervals of everything that is measured of a partition."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Callable, Optional

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

# Of what the model gains on a baseline.
GAIN_METRICS = ("relative_cross_entropy", "auroc")
# Moving an interval must not carry these below 0 or above 1.
_SHARES = ("auroc", "average_precision", "grouped_auc", *RANKING_METRICS)
_SHARES += ("click_through_rate", "predicted_click_through_rate")
# Those whose resamples come from users, or that have no interval.
_WITHOUT_BINS = {"grouped_auc", "expected_calibration_error", "examples", "positives"}
_WITHOUT_BINS.update(RANKING_METRICS)

Intervals = dict[str, Interval]
# Of each task: the metrics as resamples are measured, of all examples and of each resample.
_Drawn = list[tuple[dict[str, float], dict[str, np.ndarray]]]


class Confidence:
  """Draws resamples of a partition's users; without them where there is but one user, or no draw.

  Args:
    meter: the partition, read to its end.
    users: its users.
  """

  def __init__(self, meter: PartitionMeter, users: PartitionUsers):
    self._subject, self._meter, self._users = meter.subject, meter, users
    settings = meter.subject.settings
    self._level = settings.confidence_level
    self._is_on = settings.bootstrap_samples > 0 and users.count > 1
    self._resamples = Resamples(users.count, settings.bootstrap_samples, settings.seed)
    self._is_on_for_tasks = self._is_on and bool(set(meter.subject.metrics) - _WITHOUT_BINS)
    self._scale = math.sqrt(len(meter.store) / meter.everything.examples)

  def of_tasks(self, values: Sequence[Mapping[str, float]]) -> list[Intervals]:
    """Returns the intervals of the metrics that take no users, for each task's values."""
    if not self._is_on_for_tasks:
      return [{} for _ in values]
    return [
      self._intervals(drawn, centers, metrics)
      for (centers, drawn), metrics in zip(self._of_model, values)
    ]

  def of_gains(self, baseline: str, values: Sequence[Mapping[str, float]]) -> list[Intervals]:
    """Returns the intervals of what the model is better by than a baseline.

    Both are measured on the same resamples: what makes an example easy or hard for both is no
    uncertainty of their difference.

    Args:
      baseline: its name.
      values: for each task, metrics out of GAIN_METRICS -> model minus baseline.
    """
    if not self._is_on_for_tasks or not any(values):
      return [{} for _ in values]
    other = self._draw(lambda task: self._meter.baseline_keys(baseline, task))
    found = []
    for model, of_baseline, metrics in zip(self._of_model, other, values):
      centers, drawn = (
        {name: ours[name] - theirs[name] for name in metrics}
        for ours, theirs in zip(model, of_baseline)
      )
      found.append(self._intervals(drawn, centers, metrics, is_bounded=False))
    return found

  @cached_property
  def _of_model(self) -> _Drawn:
    return self._draw(self._meter.store.keys)

  def _draw(self, keys_of: Callable[[int], np.ndarray]) -> _Drawn:
    binned = [
      BinnedTask(keys_of(task), positive, negative)
      for task, (negative, positive) in enumerate(self._subject.class_weights)
    ]
    drawn = task_resamples(binned, self._users.of_examples, self._resamples)
    return [(task.metrics(), of_task) for task, of_task in zip(binned, drawn)]

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
    is_bounded: bool = True,
  ) -> Intervals:
    found = {}
    for name, value in values.items():
      if name not in drawn:
        continue
      ends = interval(drawn[name], centers[name], value, self._level, self._scale)
      if ends is not None and is_bounded and name.split("@")[0] in _SHARES:
        ends = (max(ends[0], 0.0), min(ends[1], 1.0))
      if ends is not None:
        found[name] = ends
    return found

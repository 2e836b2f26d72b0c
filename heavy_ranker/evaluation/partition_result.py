"""What was taken in of a partition -> its part of evaluation/step-N.json (docs/evaluation.md)."""

from typing import Any, Optional

import numpy as np

from heavy_ranker.config.baselines import ALWAYS_MEAN
from heavy_ranker.evaluation import curves
from heavy_ranker.evaluation.baselines import always_mean
from heavy_ranker.evaluation.confidence import GAIN_METRICS, Confidence, Intervals
from heavy_ranker.evaluation.notes import notes
from heavy_ranker.evaluation.partition_meter import PartitionMeter
from heavy_ranker.evaluation.partition_users import PartitionUsers, weighted_mean
from heavy_ranker.evaluation.population import Population, TaskMeasurement
from heavy_ranker.evaluation.reliability import Reliability
from heavy_ranker.evaluation.undefined import reasons
from heavy_ranker.evaluation.what_if import what_if

_GROUPED_AUC = "grouped_auc"
_RCE = "relative_cross_entropy"
_UNKNOWN = (float("nan"), float("nan"))


class PartitionResult:
  """Computes the result of a partition once all of it was read.

  Args:
    meter: the partition.
  """

  def __init__(self, meter: PartitionMeter):
    meter.flush()
    self._meter, self._subject, self._store = meter, meter.subject, meter.store
    self._is_exact = meter.store.halvings == 0
    self._users = PartitionUsers(meter)
    self._confidence = Confidence(meter, self._users)

  def as_dict(self, complete: bool) -> dict[str, Any]:
    """Returns the partition's result; undefined values are NaN.

    Args:
      complete: whether all of the partition was read.
    """
    meter, subject, users = self._meter, self._subject, self._users
    columns = users.rankings()
    ranking = {name: weighted_mean(column) for name, column in columns.items()}
    count = None if users.ids is None else users.count * 2**self._store.halvings
    result = {
      "examples": meter.everything.examples,
      "users": count,
      "batches": meter.batches,
      "complete": complete,
      "exact": self._is_exact,
      "notes": notes(meter, users, ranking),
      "ranking": ranking,
      "ranking_confidence": self._confidence.of_means(ranking, columns),
      "score_histogram": curves.score_histogram(self._store.scores()),
      "tasks": self._tasks(),
      "strata": {
        name: self._stratum(self._store.stratum(index), meter.strata[index])
        for index, name in enumerate(subject.strata)
      },
    }
    if subject.settings.what_if:
      result["what_if"] = what_if(meter, users, self._confidence)
    return result

  def _tasks(self) -> dict[str, dict[str, Any]]:
    names = self._subject.tasks
    aurocs = [self._users.aurocs(task) for task in range(len(names))]
    # One after the other: a task's distinct predictions take more memory than its examples.
    contents = [self._task(task, weighted_mean(*aurocs[task])) for task in range(len(names))]
    values = [content["metrics"] for content in contents]
    intervals = self._confidence.of_tasks(values)
    grouped = self._grouped_intervals(values, aurocs)
    gains = self._gains(values, [content["baselines"] for content in contents])
    shares = dict(zip(self._subject.model_tasks, self._meter.score_share.shares()))
    return {
      name: {
        **contents[task],
        "confidence": {**intervals[task], **grouped[task]},
        "gain": gains[task],
        "score_share": shares[name],
      }
      for task, name in enumerate(names)
    }

  def _exact_keys(self, task: int, chosen: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
    if not self._is_exact:
      return None
    keys = self._store.keys(task)
    return keys if chosen is None else keys[chosen]

  def _chosen(self, values: dict[str, float]) -> dict[str, float]:
    return {name: values[name] for name in self._subject.metrics if name in values}

  def _grouped_intervals(
    self, values: list[dict[str, float]], aurocs: list[tuple[np.ndarray, np.ndarray]]
  ) -> list[Intervals]:
    if _GROUPED_AUC not in self._subject.metrics:
      return [{} for _ in values]
    return [
      self._confidence.of_means(
        {_GROUPED_AUC: of_task[_GROUPED_AUC]}, {_GROUPED_AUC: column}, {_GROUPED_AUC: impressions}
      )
      for of_task, (column, impressions) in zip(values, aurocs)
    ]

  def _gains(
    self, values: list[dict[str, float]], baselines: list[dict[str, dict[str, float]]]
  ) -> list[dict[str, dict[str, dict[str, float]]]]:
    """Returns what the model is better by: of each task, baseline -> metric -> with interval."""
    gains: list[dict[str, dict[str, dict[str, float]]]] = [{} for _ in values]
    for name in self._subject.baselines:
      differences = [
        {
          metric: of_model[metric] - of_baselines[name][metric]
          for metric in GAIN_METRICS
          if metric in of_model
        }
        for of_model, of_baselines in zip(values, baselines)
      ]
      intervals = self._confidence.of_gains(name, differences)
      for gain, difference, ends in zip(gains, differences, intervals):
        gain[name] = {
          metric: dict(zip(("value", "low", "high"), (value, *ends.get(metric, _UNKNOWN))))
          for metric, value in difference.items()
        }
    return gains

  def _task(self, task: int, grouped_auc: float) -> dict[str, Any]:
    measurement = self._meter.everything.measure(task, self._exact_keys(task))
    values = self._chosen({**measurement.values, _GROUPED_AUC: grouped_auc})
    groups = measurement.groups
    reliabilities = {"calibrated": _points(measurement.reliability)}
    if self._meter.uncalibrated is not None:
      raw = self._meter.uncalibrated.measure(task)
      reliabilities["uncalibrated"] = _points(raw.reliability)
    baselines = self._baselines(task)
    return {
      "metrics": values,
      "reasons": self._reasons(values, measurement),
      "approximation_error": self._chosen(measurement.errors),
      "baselines": {name: self._chosen(metrics) for name, metrics in baselines.items()},
      "achievable_rce_share": self._achievable_share(measurement.values, baselines),
      "reliability": reliabilities,
      "roc": curves.roc_curve(groups),
      "precision_recall": curves.precision_recall_curve(groups),
      "probability_histogram": curves.probability_histogram(groups),
    }

  def _reasons(self, values: dict[str, float], measurement: TaskMeasurement) -> dict[str, str]:
    counts = {name: measurement.values[name] for name in ("examples", "positives")}
    return reasons({**values, **counts}, self._subject.no_users)

  def _baselines(self, task: int) -> dict[str, dict[str, float]]:
    negative_weight, positive_weight = self._subject.class_weights[task]
    negatives, positives = self._meter.everything.counts(task)
    found = {ALWAYS_MEAN: always_mean(positives, negatives, positive_weight, negative_weight)}
    for name, population in self._meter.baselines.items():
      keys = self._meter.baseline_keys(name, task) if self._is_exact else None
      found[name] = population.measure(task, keys).values
    return found

  def _achievable_share(
    self, values: dict[str, float], baselines: dict[str, dict[str, float]]
  ) -> float:
    """RCE as a share of the best possible one; NaN where that is not known or not above 0."""
    best = baselines.get(self._subject.upper_bound or "", {}).get(_RCE, float("nan"))
    return values[_RCE] / best if best > 0 else float("nan")

  def _stratum(self, chosen: np.ndarray, population: Population) -> dict[str, Any]:
    tasks = {}
    for task, name in enumerate(self._subject.tasks):
      measurement = population.measure(task, self._exact_keys(task, chosen))
      grouped = weighted_mean(*self._users.aurocs(task, chosen))
      values = self._chosen({**measurement.values, _GROUPED_AUC: grouped})
      tasks[name] = {"metrics": values, "reasons": self._reasons(values, measurement)}
    return {"examples": population.examples, "tasks": tasks}


def _points(bins: Reliability) -> list[dict[str, float]]:
  return [
    {"predicted": predicted, "observed": observed, "weight": weight, "examples": round(examples)}
    for predicted, observed, weight, examples in zip(
      bins.predicted.tolist(), bins.observed.tolist(), bins.weight.tolist(), bins.examples.tolist()
    )
  ]

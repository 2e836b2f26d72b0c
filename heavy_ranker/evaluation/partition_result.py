"""What was taken in of a partition -> its part of evaluation/step-N.json (docs/evaluation.md)."""

import math
from typing import Any, Optional

import numpy as np

from heavy_ranker.config.evaluation import RANKING_METRICS
from heavy_ranker.evaluation import baselines, curves, prediction_keys
from heavy_ranker.evaluation.bootstrap import (
  BinnedTask,
  Resamples,
  interval,
  mean_resamples,
  task_resamples,
)
from heavy_ranker.evaluation.partition_meter import PartitionMeter
from heavy_ranker.evaluation.population import TaskMeasurement
from heavy_ranker.evaluation.prediction_groups import PredictionGroups
from heavy_ranker.evaluation.reliability import Reliability, reliability
from heavy_ranker.evaluation.undefined import reasons
from heavy_ranker.evaluation.user_metrics import user_aurocs, user_rankings

_NAN = float("nan")
# Rounding, or moving an interval, must not carry these past 1 or below 0.
_SHARES = ("auroc", "average_precision", "grouped_auc", *RANKING_METRICS)
_SHARES += ("click_through_rate", "predicted_click_through_rate")

# Those whose resamples come from users, or that have no interval.
_WITHOUT_BINS = {"grouped_auc", "expected_calibration_error", "examples", "positives"}
_WITHOUT_BINS.update(RANKING_METRICS)


class PartitionResult:
  """Computes the result of a partition once all of it was read.

  Args:
    meter: the partition.
  """

  def __init__(self, meter: PartitionMeter):
    meter.flush()
    self._meter, self._subject, self._store = meter, meter.subject, meter.store
    self._settings = meter.subject.settings
    self._is_exact = meter.store.halvings == 0
    self._has_users = meter.subject.no_users is None
    units = self._store.units()
    if self._has_users:
      self._ids, self._units = np.unique(units, return_inverse=True)
      self._num_units = self._ids.size
    else:
      self._num_units, self._units = units.size, np.arange(units.size)

  def as_dict(self, complete: bool) -> dict[str, Any]:
    """Returns the partition's result; undefined values are NaN.

    Args:
      complete: whether all of the partition was read.
    """
    meter, subject = self._meter, self._subject
    tasks = range(len(subject.tasks))
    measurements = [meter.everything.measure(task, self._exact_keys(task)) for task in tasks]
    aurocs = {subject.tasks[task]: self._user_aurocs(task) for task in tasks}
    rankings = self._rankings()
    values = [
      self._chosen({**measurement.values, "grouped_auc": _weighted_mean(*aurocs[task])})
      for task, measurement in zip(subject.tasks, measurements)
    ]
    ranking = {name: _weighted_mean(column) for name, column in rankings.items()}
    task_intervals, ranking_intervals = self._intervals(values, ranking, aurocs, rankings)
    shares = dict(zip(subject.model_tasks, meter.score_share.shares()))
    return {
      "examples": meter.everything.examples,
      "users": self._users(),
      "batches": meter.batches,
      "complete": complete,
      "exact": self._is_exact,
      "notes": self._notes(ranking),
      "ranking": ranking,
      "ranking_confidence": ranking_intervals,
      "score_histogram": curves.score_histogram(self._store.scores()),
      "tasks": {
        name: {
          **self._task(task, measurements[task], values[task]),
          "confidence": task_intervals[task],
          "score_share": shares[name],
        }
        for task, name in enumerate(subject.tasks)
      },
      "strata": {
        name: self._stratum(index, population)
        for index, (name, population) in enumerate(zip(subject.strata, meter.strata))
      },
    }

  def _exact_keys(self, task: int) -> Optional[np.ndarray]:
    return self._store.keys(task) if self._is_exact else None

  def _chosen(self, values: dict[str, float]) -> dict[str, float]:
    return {name: values[name] for name in self._subject.metrics if name in values}

  def _users(self) -> Optional[int]:
    return self._num_units * 2**self._store.halvings if self._has_users else None

  def _user_aurocs(
    self, task: int, chosen: Optional[np.ndarray] = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns AUROC and weight of each user, over the chosen examples; nothing without users."""
    if not self._has_users or "grouped_auc" not in self._subject.metrics:
      return np.zeros(0), np.zeros(0)
    keys, users = self._store.keys(task), self._units
    if chosen is not None:
      keys, users = keys[chosen], users[chosen]
    weights = np.array(self._subject.class_weights[task])
    of_examples = weights[prediction_keys.labels_of(keys).astype(np.int8)]
    impressions = np.bincount(users, weights=of_examples, minlength=self._num_units)
    return user_aurocs(users, self._num_units, keys), impressions

  def _rankings(self) -> dict[str, np.ndarray]:
    """Returns the ranking metrics by user, under their names with the cutoff."""
    cutoffs = self._settings.ranking_cutoffs
    names = [name for name in RANKING_METRICS if name in self._subject.metrics]
    if not self._has_users or not self._engaging():
      return {f"{name}@{cutoff}": np.zeros(0) for name in names for cutoff in cutoffs}
    engaged = np.zeros(len(self._store), bool)
    for task in self._engaging():
      engaged |= prediction_keys.labels_of(self._store.keys(task))
    scores = self._store.scores()
    columns = user_rankings(self._units, self._num_units, scores, engaged, cutoffs)
    return {name: column for name, column in columns.items() if name.split("@")[0] in names}

  def _engaging(self) -> list[int]:
    """Returns the measured tasks that count as engagement: those the score rewards."""
    weight_of = self._subject.score.weight_of
    return [i for i, task in enumerate(self._subject.tasks) if (weight_of(task) or 0.0) > 0]

  def _intervals(
    self,
    values: list[dict[str, float]],
    ranking: dict[str, float],
    aurocs: dict[str, tuple[np.ndarray, np.ndarray]],
    rankings: dict[str, np.ndarray],
  ) -> tuple[list[dict], dict]:
    settings, subject = self._settings, self._subject
    if not settings.bootstrap_samples or self._num_units < 2:
      return [{} for _ in values], {}
    resamples = Resamples(self._num_units, settings.bootstrap_samples, settings.seed)
    scale = math.sqrt(len(self._store) / self._meter.everything.examples)

    def clipped(
      name: str, drawn: np.ndarray, center: float, value: float
    ) -> dict[str, tuple[float, float]]:
      found = interval(drawn, center, value, settings.confidence_level, scale)
      if found is not None and name.split("@")[0] in _SHARES:
        found = (max(found[0], 0.0), min(found[1], 1.0))
      return {} if found is None else {name: found}

    columns = {**rankings, **{task: column for task, (column, _) in aurocs.items()}}
    columns = {name: column for name, column in columns.items() if column.size}
    weights = {name: np.ones(column.size) for name, column in rankings.items()}
    weights.update({task: impressions for task, (_, impressions) in aurocs.items()})
    means = mean_resamples(columns, weights, resamples)
    binned = self._binned_tasks()
    drawn = task_resamples(binned, self._units, resamples) if binned else [{} for _ in values]
    by_task = []
    for task, of_task, metrics in zip(subject.tasks, drawn, values):
      found: dict[str, tuple[float, float]] = {}
      centers = binned[len(by_task)].metrics() if binned else {}
      for name, value in metrics.items():
        if name == "grouped_auc" and task in means:
          found.update(clipped(name, means[task], value, value))
        elif name in of_task:
          found.update(clipped(name, of_task[name], centers[name], value))
      by_task.append(found)
    by_ranking: dict[str, tuple[float, float]] = {}
    for name, value in ranking.items():
      if name in means:
        by_ranking.update(clipped(name, means[name], value, value))
    return by_task, by_ranking

  def _binned_tasks(self) -> list[BinnedTask]:
    subject = self._subject
    if not set(subject.metrics) - _WITHOUT_BINS:
      return []
    return [
      BinnedTask(self._store.keys(task), positive, negative)
      for task, (negative, positive) in enumerate(subject.class_weights)
    ]

  def _task(
    self, task: int, measurement: TaskMeasurement, values: dict[str, float]
  ) -> dict[str, Any]:
    groups = measurement.groups
    ratio = self._subject.calibration_ratios[task] if self._subject.calibration_ratios else 1.0
    reliabilities = {"calibrated": _points(measurement.reliability)}
    if ratio != 1.0:
      raw = _uncalibrated(groups, ratio)
      reliabilities["uncalibrated"] = _points(reliability(raw, self._settings.calibration_bins))
    return {
      "metrics": values,
      "reasons": self._reasons(values, measurement),
      "approximation_error": self._chosen(measurement.errors),
      "baselines": self._baselines(task),
      "achievable_rce_share": None,
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
    constant = baselines.always_mean(positives, negatives, positive_weight, negative_weight)
    found = {baselines.ALWAYS_MEAN: self._chosen(constant)}
    for name, population in self._meter.baselines.items():
      found[name] = self._chosen(population.measure(task).values)
    return found

  def _stratum(self, index: int, population: Any) -> dict[str, Any]:
    chosen = self._store.stratum(index)
    tasks = {}
    for task, name in enumerate(self._subject.tasks):
      keys = self._store.keys(task)[chosen] if self._is_exact else None
      measurement = population.measure(task, keys)
      grouped = _weighted_mean(*self._user_aurocs(task, chosen))
      values = self._chosen({**measurement.values, "grouped_auc": grouped})
      tasks[name] = {"metrics": values, "reasons": self._reasons(values, measurement)}
    return {"examples": population.examples, "tasks": tasks}

  def _notes(self, ranking: dict[str, float]) -> list[str]:
    subject, notes = self._subject, []
    per_user = [name for name in subject.metrics if name in ("grouped_auc", *RANKING_METRICS)]
    if subject.no_users is not None and per_user:
      notes.append(f"{', '.join(per_user)}: {subject.no_users}")
    if subject.no_users is not None and self._settings.bootstrap_samples:
      notes.append(
        "confidence intervals: without users, examples are drawn one by one, which makes the "
        "intervals too narrow where examples of one user are alike"
      )
    if self._has_users and self._num_units == 1 and self._is_exact:
      notes.append(
        f"every example has the same {self._settings.user_feature}, {self._ids[0]}: there are no "
        "confidence intervals, and metrics by user mean nothing"
      )
    if self._has_users and ranking and not all(map(math.isfinite, ranking.values())):
      notes.append(f"{', '.join(ranking)}: {self._no_ranking()}")
    left_out = [task for task in subject.model_tasks if task not in subject.tasks]
    left_out = [task for task in left_out if (subject.score.weight_of(task) or 0.0) > 0]
    if ranking and self._engaging() and left_out and self._has_users:
      notes.append(
        f"{', '.join(ranking)}: engagement with {', '.join(left_out)} does not count, since "
        "evaluation_tasks leaves it out"
      )
    return notes + ([] if self._is_exact else self._notes_on_sampling())

  def _no_ranking(self) -> str:
    if not self._engaging():
      return "no task that is measured has a positive weight in the score"
    return "no user engaged with anything"

  def _notes_on_sampling(self) -> list[str]:
    found, stored = self._meter.everything.examples, len(self._store)
    what = "users with all their examples" if self._has_users else "examples"
    share = f"1 in {2**self._store.halvings} of the {what}"
    return [
      f"{found} examples are more than evaluation.max_examples_in_memory, "
      f"{self._settings.max_examples_in_memory}: what is not a sum comes from histograms, with the "
      "error given under approximation_error",
      f"metrics by user, confidence intervals (scaled to all examples) and score_histogram come "
      f"from a sample: {share}, {stored} examples; the number of users is an estimate",
    ]


def _uncalibrated(groups: PredictionGroups, ratio: float) -> PredictionGroups:
  """Undoes p r / (1 - p + r p), which keeps the order."""
  calibrated = groups.probabilities
  raw = calibrated / (calibrated + ratio * (1 - calibrated))
  return PredictionGroups(
    raw,
    groups.positive_counts,
    groups.negative_counts,
    groups.positive_weight,
    groups.negative_weight,
  )


def _points(bins: Reliability) -> list[dict[str, float]]:
  return [
    {"predicted": predicted, "observed": observed, "weight": weight, "examples": round(examples)}
    for predicted, observed, weight, examples in zip(
      bins.predicted.tolist(), bins.observed.tolist(), bins.weight.tolist(), bins.examples.tolist()
    )
  ]


def _weighted_mean(values: np.ndarray, weights: Optional[np.ndarray] = None) -> float:
  """Returns the weighted mean of the values that are not NaN; NaN without any."""
  defined = ~np.isnan(values)
  weights = np.ones(values.size) if weights is None else weights
  total = weights[defined].sum()
  return float(np.dot(values[defined], weights[defined]) / total) if total > 0 else _NAN

"""The objective: one number of an evaluation's result, and which way it should go."""

import math
import re
from typing import Any

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.evaluation import RANKING_METRICS
from heavy_ranker.tuning.search_space import Direction, Objective
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError, DataError

# docs/evaluation.md defines them. The others tell of the data rather than of the model.
_DIRECTIONS: dict[str, Direction] = {
  "relative_cross_entropy": "maximize",
  "normalized_relative_cross_entropy": "maximize",
  "log_loss": "minimize",
  "auroc": "maximize",
  "average_precision": "maximize",
  "grouped_auc": "maximize",
  "expected_calibration_error": "minimize",
  **dict.fromkeys(RANKING_METRICS, "maximize"),
}
_RANKING = re.compile(rf"({'|'.join(RANKING_METRICS)})@(\d+)")


def check_objective(objective: Objective, config: HeavyRankerConfig, origin: str) -> None:
  """Finds out whether evaluations of a configuration will have the objective.

  Args:
    objective: the search's.
    config: the configuration that is searched.
    origin: the search space's file, for messages.

  Raises:
    ConfigError: they will not.
  """
  where = f"{origin}: objective"
  partitions = config.validation_data
  if objective.partition not in partitions:
    raise ConfigError(
      f"{where}.partition: found {objective.partition!r}"
      f"{did_you_mean(objective.partition, partitions)}, allowed: a partition of validation_data: "
      f"{', '.join(partitions) or 'there is none'}"
    )
  _check_metric(objective, config, where)
  if objective.tasks == "all":
    return
  known = measured_tasks(objective, config)
  for task in objective.tasks:
    if task not in known:
      raise ConfigError(
        f"{where}.tasks: found {task!r}{did_you_mean(task, known)}, allowed: {', '.join(known)}"
      )


def _check_metric(objective: Objective, config: HeavyRankerConfig, where: str) -> None:
  metric, cutoffs = objective.metric, config.evaluation.ranking_cutoffs
  ranking = [f"{name}@{cutoff}" for name in RANKING_METRICS for cutoff in cutoffs]
  allowed = [*(name for name in _DIRECTIONS if name not in RANKING_METRICS), *ranking]
  if metric not in allowed:
    raise ConfigError(
      f"{where}.metric: found {metric!r}{did_you_mean(metric, allowed)}, allowed: "
      f"{', '.join(allowed)} (more cutoffs: evaluation.ranking_cutoffs)"
    )
  if metric in ranking and objective.tasks != "all":
    raise ConfigError(
      f"{where}.tasks: found beside {metric}, which is of the score, allowed: without tasks"
    )


def measured_tasks(objective: Objective, config: HeavyRankerConfig) -> list[str]:
  """Returns the tasks that the objective's partition measures."""
  measured = config.validation_data[objective.partition].evaluation_tasks
  return list(config.model.tasks if measured is None else measured)


def metric_kind(objective: Objective) -> str:
  """Returns the metric as `which_metrics` names it: without a cutoff."""
  match = _RANKING.fullmatch(objective.metric)
  return match.group(1) if match else objective.metric


def direction_of(objective: Objective) -> Direction:
  """Returns whether more is better."""
  return objective.direction or _DIRECTIONS[metric_kind(objective)]


def objective_value(objective: Objective, result: dict[str, Any]) -> float:
  """Returns the objective of an evaluation.

  Args:
    objective: the search's.
    result: see `heavy_ranker.evaluation.results_file`; undefined values are NaN or null.

  Raises:
    DataError: the metric is not defined there, for a task without positives say.
  """
  partition = result["partitions"][objective.partition]
  metric = objective.metric
  if metric in partition["ranking"]:
    values = {"the score": partition["ranking"][metric]}
  else:
    tasks = partition["tasks"]
    names = list(tasks) if objective.tasks == "all" else objective.tasks
    values = {name: tasks[name]["metrics"][metric] for name in names}
  for name, value in values.items():
    if value is None or not math.isfinite(value):
      raise DataError(
        f"objective.metric: {metric} of {name} is not defined on {objective.partition}: found no "
        "positives, no negatives or no finite predictions, allowed: some of each. Choose other "
        "objective.tasks, or another partition"
      )
  return sum(values.values()) / len(values)

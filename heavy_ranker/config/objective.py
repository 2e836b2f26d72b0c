"""One number of an evaluation, to choose by: which one, and which way it should go."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Optional, Union

import pydantic

from heavy_ranker.config.evaluation import RANKING_METRICS
from tfrecords.config.strict_model import StrictModel, did_you_mean

Direction = Literal["maximize", "minimize"]

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


class Objective(StrictModel):
  """What makes one model better than another.

  Attributes:
    partition: of `validation_data`; one that is for choosing, not the one you report.
    metric: a metric of tasks (the mean over them counts), or `ndcg@K` or `map@K` of the score.
    tasks: which ones; all those the partition measures by default.
    direction: the metric's own when absent.
  """

  partition: str
  metric: str = "relative_cross_entropy"
  tasks: Union[Literal["all"], Annotated[list[str], pydantic.Field(min_length=1)]] = "all"
  direction: Optional[Direction] = None


def metric_kind(objective: Objective) -> str:
  """Returns the metric as `which_metrics` names it: without a cutoff."""
  match = _RANKING.fullmatch(objective.metric)
  return match.group(1) if match else objective.metric


def direction_of(objective: Objective) -> Direction:
  """Returns whether more is better."""
  return objective.direction or _DIRECTIONS[metric_kind(objective)]


def objective_mistake(
  objective: Objective, measured_tasks: Mapping[str, Sequence[str]], cutoffs: Sequence[int]
) -> Optional[str]:
  """Returns why evaluations will not have the objective, or None if they will.

  Args:
    objective: what to choose by.
    measured_tasks: the tasks that each partition of `validation_data` measures.
    cutoffs: `evaluation.ranking_cutoffs`.

  Returns:
    "KEY: found ..., allowed: ...", to stand behind the path of the objective.
  """
  name = objective.partition
  if name not in measured_tasks:
    return (
      f"partition: found {name!r}{did_you_mean(name, measured_tasks)}, allowed: a partition of "
      f"validation_data: {', '.join(measured_tasks) or 'there is none'}"
    )
  ranking = [f"{kind}@{cutoff}" for kind in RANKING_METRICS for cutoff in cutoffs]
  metrics = [*(kind for kind in _DIRECTIONS if kind not in RANKING_METRICS), *ranking]
  metric = objective.metric
  if metric not in metrics:
    return (
      f"metric: found {metric!r}{did_you_mean(metric, metrics)}, allowed: {', '.join(metrics)} "
      "(more cutoffs: evaluation.ranking_cutoffs)"
    )
  if objective.tasks == "all":
    return None
  if metric in ranking:
    return f"tasks: found beside {metric}, which is of the score, allowed: without tasks"
  known = measured_tasks[name]
  unknown = next((task for task in objective.tasks if task not in known), None)
  if unknown is not None:
    return f"tasks: found {unknown!r}{did_you_mean(unknown, known)}, allowed: {', '.join(known)}"
  return None

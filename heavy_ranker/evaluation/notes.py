"""What a reader of a partition's result has to know: what was approximated or left out, and why."""

import math
from collections.abc import Mapping

from heavy_ranker.config.evaluation import PER_USER_METRICS
from heavy_ranker.evaluation.partition_meter import PartitionMeter
from heavy_ranker.evaluation.partition_users import PartitionUsers


def notes(meter: PartitionMeter, users: PartitionUsers, ranking: Mapping[str, float]) -> list[str]:
  """Returns sentences.

  Args:
    meter: the partition, read to its end.
    users: its users.
    ranking: the metrics of the score.
  """
  found = _on_missing_users(meter) if users.ids is None else _on_users(meter, users, ranking)
  return found + (_on_sampling(meter, users) if meter.store.halvings else [])


def _on_missing_users(meter: PartitionMeter) -> list[str]:
  subject, found = meter.subject, []
  per_user = [name for name in PER_USER_METRICS if name in subject.metrics]
  if per_user:
    found.append(f"{', '.join(per_user)}: {subject.no_users}")
  if subject.settings.bootstrap_samples:
    found.append(
      "confidence intervals: without users, examples are drawn one by one, which makes the "
      "intervals too narrow where examples of one user are alike"
    )
  return found


def _on_users(
  meter: PartitionMeter, users: PartitionUsers, ranking: Mapping[str, float]
) -> list[str]:
  subject, found = meter.subject, []
  if users.count == 1 and not meter.store.halvings:
    found.append(
      f"every example has the same {subject.settings.user_feature}, {users.ids[0]}: there are no "
      "confidence intervals, and metrics by user mean nothing"
    )
  if not ranking:
    return found
  names, weight_of = ", ".join(ranking), subject.score.weight_of
  if not users.engaging_tasks():
    found.append(f"{names}: no task that is measured has a positive weight in the score")
    return found
  if not all(map(math.isfinite, ranking.values())):
    found.append(f"{names}: no user engaged with anything")
  left_out = [task for task in subject.model_tasks if task not in subject.tasks]
  left_out = [task for task in left_out if (weight_of(task) or 0.0) > 0]
  if left_out:
    found.append(
      f"{names}: engagement with {', '.join(left_out)} does not count, since evaluation_tasks "
      "leaves it out"
    )
  return found


def _on_sampling(meter: PartitionMeter, users: PartitionUsers) -> list[str]:
  share, stored = 2**meter.store.halvings, len(meter.store)
  what = "examples" if users.ids is None else "users with all their examples"
  what_if = " what_if," if meter.subject.settings.what_if else ""
  estimate = "" if users.ids is None else "; the number of users is an estimate"
  return [
    f"{meter.everything.examples} examples are more than evaluation.max_examples_in_memory, "
    f"{meter.subject.settings.max_examples_in_memory}: what is not a sum comes from histograms, "
    "with the error given under approximation_error",
    f"metrics by user,{what_if} confidence intervals (scaled to all examples) and score_histogram "
    f"come from a sample: 1 in {share} of the {what}, {stored} examples{estimate}",
  ]

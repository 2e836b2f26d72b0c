"""The importance of features as tables for the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

_MOST_SHOWN = 20
_TASKS_SHOWN = 3


def format_importance(result: Mapping[str, Any]) -> str:
  """Returns the groups and the features with the largest mean drops.

  Args:
    result: see `heavy_ranker.evaluation.importance`; undefined values are NaN.
  """
  metric = result["metric"]
  lines = [
    f"{result['partition']}: {result['examples']} examples, {result['repeats']} permutations, "
    f"{result['seconds']:.0f} s"
  ]
  for what, entries in (("group", result["groups"]), ("feature", result["features"])):
    if entries:
      lines += ["", _table(what, entries, metric)]
  missing = [f"note: {_short(task)}: {reason}" for task, reason in result["reasons"].items()]
  return "\n".join([*lines, *(f"note: {note}" for note in result["notes"]), *missing])


def _table(what: str, entries: Sequence[Mapping[str, Any]], metric: str) -> str:
  ordered = sorted(entries, key=lambda entry: -mean_drop(entry))
  change = "rise" if metric == "log_loss" else "drop"
  headings = [what, "columns", f"mean {change} of {metric}", "largest in"]
  rows = [
    [entry["name"], len(entry["features"]), _number(mean_drop(entry)), _largest(entry)]
    for entry in ordered[:_MOST_SHOWN]
  ]
  alignment = ["left", "right", "right", "left"]
  table = tabulate(rows, headings, disable_numparse=True, colalign=alignment)
  rest = len(entries) - _MOST_SHOWN
  return table + (f"\n({rest} more in the report and the file)" if rest > 0 else "")


def mean_drop(entry: Mapping[str, Any]) -> float:
  """Returns the mean of an entry's drops over the tasks that have one; 0 without any."""
  defined = [value for value in entry["drop"].values() if math.isfinite(value)]
  return sum(defined) / len(defined) if defined else 0.0


def _largest(entry: Mapping[str, Any]) -> str:
  drops = {task: value for task, value in entry["drop"].items() if math.isfinite(value)}
  ordered = sorted(drops, key=lambda task: -drops[task])[:_TASKS_SHOWN]
  return ", ".join(f"{_short(task)} {_number(drops[task])}" for task in ordered)


def _number(value: float) -> str:
  return f"{value:.4f}"


def _short(task: str) -> str:
  return task.rsplit(".", 1)[-1]

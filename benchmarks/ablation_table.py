"""Variants as a Markdown table: a row each, the mean over its seeds."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

AUROC, RCE = "auroc", "relative_cross_entropy"


def format_variants(rows: Mapping[str, Sequence[Mapping[str, Any]]], tasks: Sequence[str]) -> str:
  """Returns the table: AUROC / RCE of each task, their plain means first.

  Behind a mean of several seeds stands their standard deviation, in units of the last digit.

  Args:
    rows: name -> what `benchmarks.measurement.measure` returned for each seed.
    tasks: the columns, in order.
  """
  cells = [
    [name, *_means(results, tasks), *(_of_task(results, task) for task in tasks)]
    for name, results in rows.items()
  ]
  headings = ["", "mean AUROC", "mean RCE", *(task.rsplit(".", 1)[-1] for task in tasks)]
  return tabulate(cells, headings, "pipe", colalign=["left", *["right"] * (len(headings) - 1)])


def _means(results: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> list[str]:
  columns = []
  for metric, digits in ((AUROC, 4), (RCE, 2)):
    of_seeds = [statistics.fmean(_values(result, tasks, metric)) for result in results]
    columns.append(_with_deviation(of_seeds, digits))
  return columns


def _of_task(results: Sequence[Mapping[str, Any]], task: str) -> str:
  auroc, rce = (
    [_values(result, [task], metric)[0] for result in results] for metric in (AUROC, RCE)
  )
  return f"{_with_deviation(auroc, 4)} / {_with_deviation(rce, 2)}"


def _values(result: Mapping[str, Any], tasks: Sequence[str], metric: str) -> list[float]:
  values = [result["metrics"][task][metric] for task in tasks]
  return [math.nan if value is None else value for value in values]


def _with_deviation(values: Sequence[float], digits: int) -> str:
  mean = f"{statistics.fmean(values):.{digits}f}"
  if len(values) < 2 or not all(map(math.isfinite, values)):
    return mean
  return f"{mean} ({round(statistics.stdev(values) * 10**digits)})"

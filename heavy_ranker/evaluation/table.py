"""An evaluation as a table for the terminal."""

import math
from collections.abc import Mapping

from tabulate import tabulate

# metric -> heading and format
_COLUMNS = {
  "examples": ("examples", "{:.0f}"),
  "positives": ("positives", "{:.0f}"),
  "relative_cross_entropy": ("RCE %", "{:.3f}"),
  "normalized_relative_cross_entropy": ("NRCE %", "{:.3f}"),
  "auroc": ("AUROC", "{:.4f}"),
  "average_precision": ("PR-AUC", "{:.4f}"),
  "click_through_rate": ("CTR", "{:.3g}"),
  "predicted_click_through_rate": ("PCTR", "{:.3g}"),
}


def format_metrics(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
  """Returns a table with a row a task for each partition; "-" where a metric is not defined."""
  tables = []
  for partition, tasks in results.items():
    rows = [
      [_short(task), *(_cell(values[name], style) for name, (_, style) in _COLUMNS.items())]
      for task, values in tasks.items()
    ]
    headings = [partition, *(heading for heading, _ in _COLUMNS.values())]
    tables.append(tabulate(rows, headings, disable_numparse=True, stralign="right"))
  return "\n\n".join(tables)


def _short(task: str) -> str:
  return task.rsplit(".", 1)[-1]


def _cell(value: float, style: str) -> str:
  return style.format(value) if math.isfinite(value) else "-"

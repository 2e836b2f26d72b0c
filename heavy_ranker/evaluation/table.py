"""An evaluation as a table for the terminal."""

import math
from typing import Any

from tabulate import tabulate

# metric -> heading and format
_COLUMNS = {
  "positives": ("positives", "{:.0f}"),
  "click_through_rate": ("CTR", "{:.3g}"),
  "predicted_to_actual_ratio": ("PCTR/CTR", "{:.3f}"),
  "relative_cross_entropy": ("RCE %", "{:.2f}"),
  "normalized_relative_cross_entropy": ("NRCE %", "{:.2f}"),
  "auroc": ("AUROC", "{:.4f}"),
  "grouped_auc": ("GAUC", "{:.4f}"),
  "average_precision": ("PR-AUC", "{:.4f}"),
}
_RCE = "relative_cross_entropy"
# of a scenario of what_if: metric without its cutoff -> heading and format
_SCENARIO_COLUMNS = {
  "ndcg_change": ("change of ndcg@{k}", "{:+.4f}"),
  "kendall_tau": ("Kendall's tau", "{:.4f}"),
  "top_1_changed": ("other first", "{:.1%}"),
  "overlap": ("first {k} that stay", "{:.1%}"),
}
_MOST_SHIFTS = 3
_WITH_INTERVAL = ("relative_cross_entropy", "auroc", "grouped_auc", "average_precision")


def format_result(result: dict[str, Any]) -> str:
  """Returns a table with a row a task for each partition; "-" where a metric is not defined.

  "±" is half the width of the confidence interval. Where baselines are configured, a second table
  holds the model against them; "of best RCE" is the share of the best possible RCE, where one of
  the baselines is that.

  Args:
    result: an evaluation's result, see `heavy_ranker.evaluation.results_file`; undefined values are
      NaN.
  """
  return "\n\n".join(
    "\n".join(
      [
        _heading(name, partition),
        "",
        _table(partition),
        *_baselines(partition),
        *_notes(partition),
        *_what_if(partition),
      ]
    )
    for name, partition in result["partitions"].items()
  )


def _heading(name: str, partition: dict[str, Any]) -> str:
  about = "" if partition["exact"] else "about "
  users = "" if partition["users"] is None else f" of {about}{partition['users']} users"
  part = "" if partition["complete"] else " (training.num_eval_steps ends it early)"
  intervals = partition["ranking_confidence"]
  ranking = [
    f"{metric} {_cell(value, '{:.4f}')}{_half_width(intervals.get(metric), '{:.4f}')}"
    for metric, value in partition["ranking"].items()
    if math.isfinite(value)
  ]
  return ", ".join([f"{name}: {partition['examples']} examples{users}{part}", *ranking])


def _table(partition: dict[str, Any]) -> str:
  tasks = partition["tasks"]
  listed = {name for content in tasks.values() for name in content["metrics"]}
  if partition["users"] is None:
    listed.discard("grouped_auc")
  columns = [name for name in _COLUMNS if name in listed]
  rows = [
    [_short(task), *(_metric(content, name) for name in columns)] for task, content in tasks.items()
  ]
  headings = ["task", *(_COLUMNS[name][0] for name in columns)]
  shares = [content.get("achievable_rce_share", float("nan")) for content in tasks.values()]
  if any(map(math.isfinite, shares)):
    headings.append("of best RCE")
    rows = [[*row, _cell(share, "{:.1%}")] for row, share in zip(rows, shares)]
  return _tabulated(headings, rows)


def _baselines(partition: dict[str, Any]) -> list[str]:
  """Returns the table of each configured baseline's RCE, and what the model is better by."""
  tasks = partition["tasks"]
  gains = {task: content.get("gain", {}) for task, content in tasks.items()}
  names = {name: None for gain in gains.values() for name in gain if _RCE in gain[name]}
  if not names:
    return []
  headings, style = ["task"], _COLUMNS[_RCE][1]
  rows = [[_short(task)] for task in tasks]
  for name in names:
    headings += [f"{name}: RCE %", "model gains"]
    for row, (task, content) in zip(rows, tasks.items()):
      gain = gains[task][name][_RCE]
      ends = gain["low"], gain["high"]
      half = _half_width(ends if all(map(math.isfinite, ends)) else None, style)
      row.append(_cell(content["baselines"][name][_RCE], style))
      row.append(_cell(gain["value"], style.replace(":", ":+")) + half)
  return ["", _tabulated(headings, rows)]


def _tabulated(headings: list[str], rows: list[list[str]]) -> str:
  alignment = ["left", *["right"] * (len(headings) - 1)]
  return tabulate(rows, headings, disable_numparse=True, colalign=alignment)


def _metric(content: dict[str, Any], name: str) -> str:
  style = _COLUMNS[name][1]
  text = _cell(content["metrics"].get(name, float("nan")), style)
  if name not in _WITH_INTERVAL:
    return text
  return text + _half_width(content["confidence"].get(name), style)


def _half_width(interval: Any, style: str) -> str:
  return "" if interval is None else f" ± {style.format((interval[1] - interval[0]) / 2)}"


def _notes(partition: dict[str, Any]) -> list[str]:
  return [f"note: {note}" for note in partition["notes"]]


def _short(task: str) -> str:
  return task.rsplit(".", 1)[-1]


def _cell(value: float, style: str) -> str:
  return style.format(value) if math.isfinite(value) else "-"


def _what_if(partition: dict[str, Any]) -> list[str]:
  """The scenarios of `evaluation.what_if`, if there are any."""
  content = partition.get("what_if")
  if content is None:
    return []
  if content["reason"] is not None:
    return ["", f"what if: {content['reason']}"]
  scenarios, cutoff = content["scenarios"], content["cutoff"]
  names = [name for name in scenarios[0]["metrics"] if not name.startswith("ndcg@")]
  rows = [
    [each["name"], *(_scenario_metric(each, name) for name in names), _shifts(each["top_tasks"])]
    for each in scenarios
  ]
  headings = ["what if", *map(_scenario_heading, names), f"most changed in the first {cutoff}"]
  alignment = ["left", *["right"] * len(names), "left"]
  return ["", tabulate(rows, headings, disable_numparse=True, colalign=alignment)]


def _scenario_heading(name: str) -> str:
  kind, _, cutoff = name.partition("@")
  return _SCENARIO_COLUMNS[kind][0].format(k=cutoff)


def _scenario_metric(scenario: dict[str, Any], name: str) -> str:
  style = _SCENARIO_COLUMNS[name.partition("@")[0]][1]
  text = _cell(scenario["metrics"][name], style)
  if not name.startswith("ndcg_change"):
    return text
  return text + _half_width(scenario["confidence"].get(name), style.replace("+", ""))


def _shifts(tasks: dict[str, dict[str, float]]) -> str:
  """The tasks whose mean prediction changes most, as shares of what it was."""
  shifts = {
    _short(name): task["predicted"] / task["predicted_before"] - 1
    for name, task in tasks.items()
    if task["predicted_before"] > 0
  }
  largest = sorted(shifts.items(), key=lambda shift: -abs(shift[1]))[:_MOST_SHIFTS]
  return ", ".join(f"{name} {shift:+.1%}" for name, shift in largest)

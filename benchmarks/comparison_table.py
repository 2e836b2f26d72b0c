"""A comparison as a Markdown table: a row an architecture, the best first."""

import math
from collections.abc import Mapping
from typing import Any, Optional

from tabulate import tabulate

# Headings of the published tasks, in the order of the columns: the frequent ones first.
HEADINGS = {
  "recap.engagement.is_video_playback_50": "video",
  "recap.engagement.is_favorited": "like",
  "recap.engagement.is_good_clicked_convo_desc_v2": "stay",
  "recap.engagement.is_good_clicked_convo_desc_favorited_or_replied": "join",
  "recap.engagement.is_retweeted": "Retweet",
  "recap.engagement.is_replied": "reply",
  "recap.engagement.is_profile_clicked_and_profile_engaged": "profile",
  "recap.engagement.is_replied_reply_engaged_by_author": "answer",
  "recap.engagement.is_negative_feedback_v2": "less",
  "recap.engagement.is_report_tweet_clicked": "report",
}


def format_comparison(rows: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns the table, sorted by the mean AUROC over all tasks.

  Args:
    rows: by name of the row, each with `metrics` (task -> metric -> value), the same tasks in all,
      and with `parameters` and `examples_per_second` if it has them.
  """
  tasks = _in_order(next(iter(rows.values()))["metrics"])
  cells = [
    [
      name,
      _cell(row.get("parameters"), "{:,}"),
      _cell(row.get("examples_per_second"), "{:,.0f}"),
      _cell(mean_auroc(row["metrics"]), "{:.4f}"),
      *(_cell(row["metrics"][task]["auroc"], "{:.3f}") for task in tasks),
    ]
    for name, row in sorted(rows.items(), key=_from_the_best)
  ]
  headings = ["architecture", "parameters", "examples/s", "mean AUROC"]
  headings += [HEADINGS.get(task, task.rsplit(".", 1)[-1]) for task in tasks]
  alignment = ["left", *["right"] * (len(headings) - 1)]
  return tabulate(cells, headings, "pipe", colalign=alignment, disable_numparse=True)


def mean_auroc(metrics: Mapping[str, Mapping[str, Optional[float]]]) -> float:
  """Returns the plain mean over the tasks; tasks without an AUROC do not count."""
  values = [task["auroc"] for task in metrics.values() if _is_number(task["auroc"])]
  return sum(values) / len(values) if values else math.nan


def _in_order(metrics: Mapping[str, Any]) -> list[str]:
  known = [task for task in HEADINGS if task in metrics]
  return known + [task for task in metrics if task not in HEADINGS]


def _from_the_best(item: tuple[str, Mapping[str, Any]]) -> tuple[float, str]:
  name, row = item
  mean = mean_auroc(row["metrics"])
  return (-mean if math.isfinite(mean) else math.inf), name


def _cell(value: Optional[float], style: str) -> str:
  return style.format(value) if _is_number(value) else "-"


def _is_number(value: Optional[float]) -> bool:
  return value is not None and math.isfinite(value)

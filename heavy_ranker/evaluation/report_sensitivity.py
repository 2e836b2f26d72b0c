"""The report's tables of what the model and the order react to: features and weights."""

from collections.abc import Mapping, Sequence
from typing import Optional

from heavy_ranker.evaluation.report_data import Importance, WhatIf
from heavy_ranker.evaluation.report_html import (
  Cell,
  Footnotes,
  Heading,
  Names,
  breakable,
  formatted,
  shortened,
  table,
)
from heavy_ranker.evaluation.report_tables import NOT_MEASURED, number

_MOST_SHOWN = 50


def importance(content: Importance, names: Names) -> dict[str, str]:
  """Returns the drops by group and by feature, the largest mean drop first.

  Returns:
    Tables by heading; empty if nothing was measured.
  """
  parts = {"By group of features": content.groups, "By feature": content.features}
  return {name: _drops(entries, names) for name, entries in parts.items() if entries}


def _drops(entries: Sequence[Importance.Entry], names: Names) -> str:
  tasks = list(dict.fromkeys(task for entry in entries for task in entry.drop))
  ordered = sorted(entries, key=lambda entry: -_mean(entry.drop.values()))
  largest = max([abs(v) for e in entries for v in e.drop.values() if v is not None], default=0)
  footnotes = Footnotes()
  rows = []
  for entry in ordered[:_MOST_SHOWN]:
    count = len(entry.features) if isinstance(entry.features, list) else entry.features
    rows.append(
      [
        Cell(breakable(shortened(entry.name))),
        *([] if _lack_counts(entries) else [number(count, ",.0f", footnotes)]),
        number(_mean(entry.drop.values()), ".4f", footnotes),
        *(_drop(entry, task, largest, footnotes) for task in tasks),
      ]
    )
  headings = [
    Heading("left out"),
    *([] if _lack_counts(entries) else [Heading("features")]),
    Heading("mean drop", "Over the tasks"),
    *(Heading(names.text(task), task) for task in tasks),
  ]
  rest = len(entries) - _MOST_SHOWN
  note = f'<p class="hint">{rest:,} with smaller drops are not shown.</p>' if rest > 0 else ""
  return table(headings, {"": rows}, footnotes) + note


def _lack_counts(entries: Sequence[Importance.Entry]) -> bool:
  return all(entry.features is None for entry in entries)


def _drop(entry: Importance.Entry, task: str, largest: float, footnotes: Footnotes) -> Cell:
  """A drop on a ground the darker the larger it is; its interval is the tooltip."""
  value = entry.drop.get(task)
  if value is None:
    return footnotes.dash(NOT_MEASURED)
  low = (entry.drop_low or {}).get(task)
  high = (entry.drop_high or {}).get(task)
  tooltip = (
    "" if low is None or high is None else f"{formatted(low, '.4f')} … {formatted(high, '.4f')}"
  )
  strength = 45 * abs(value) / largest if largest else 0
  kind = "loss" if value > 0 else "gain"
  text = formatted(value, ".4f")
  return Cell(
    f'<span class="heat {kind}" style="--strength:{strength:.0f}%" title="{tooltip}">{text}</span>',
    value,
    "heated",
  )


def what_if(content: WhatIf, weights: Mapping[str, Optional[float]], names: Names) -> str:
  """Returns the scenarios with the weights that they change, or "" without any.

  Args:
    content: the section of the file.
    weights: the score's own, by task.
    names: of the tasks.
  """
  if not content.scenarios:
    return ""
  footnotes = Footnotes()
  rows = []
  for scenario in content.scenarios:
    changed = ", ".join(
      f"{names.html(task)} {_weight(weights.get(task))} → {_weight(weight)}"
      for task, weight in scenario.weights.items()
      if weights.get(task) != weight
    )
    rows.append(
      [
        Cell(breakable(shortened(scenario.name))),
        number(scenario.ndcg_at_10, ".4f", footnotes),
        number(scenario.kendall_tau, ".4f", footnotes),
        number(scenario.moved_top_share, ".1%", footnotes),
        Cell(changed or "none", classes="prose"),
      ]
    )
  headings = [
    Heading("scenario"),
    Heading("ndcg@10"),
    Heading("Kendall's tau", "Between the order by the present score and the scenario's"),
    Heading("moved at the top", "Share of the top places that go to another candidate"),
    Heading("changed weights"),
  ]
  return table(headings, {"": rows}, footnotes)


def _weight(value: Optional[float]) -> str:
  return "–" if value is None else formatted(value, "g")


def _mean(values: Sequence[Optional[float]]) -> float:
  defined = [value for value in values if value is not None]
  return sum(defined) / len(defined) if defined else 0.0

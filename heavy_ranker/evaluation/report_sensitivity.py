"""The report's tables of what the model and the order react to: features and weights."""

from collections.abc import Mapping, Sequence
from typing import Optional

from heavy_ranker.evaluation.report_data import Evaluation, Importance, TopTask, WhatIf
from heavy_ranker.evaluation.report_html import (
  Cell,
  Footnotes,
  Heading,
  Names,
  breakable,
  escape,
  formatted,
  shortened,
  table,
)
from heavy_ranker.evaluation.report_tables import NOT_MEASURED, Column, metric_cell, number

_MOST_SHOWN = 50
_DARKEST = 45  # percent
_STRONG_SHIFT = 0.5  # This change of a mean prediction, and any larger one, is darkest.
# Metric, without its cutoff -> heading, meaning, format.
_KINDS = {
  "ndcg": ("ndcg@{k}", "NDCG of the scenario's order, against any engagement", ".4f"),
  "ndcg_change": ("change of ndcg@{k}", "Minus that of the present score", "+.4f"),
  "kendall_tau": ("Kendall's tau", "Between the present order and the scenario's, by user", ".4f"),
  "top_1_changed": ("other first", "Share of the users whose first candidate is another", ".1%"),
  "overlap": ("first {k} that stay", "Share of a user's first places that stay there", ".1%"),
}


def about_importance(content: Importance) -> str:
  """Returns what the drops are drops of, and the notes."""
  metric = escape(shortened(content.metric or "the metric"))
  where = escape(shortened(content.partition or "the data"))
  count = "" if content.examples is None else f"{content.examples:,.0f} examples of "
  rises = " Here a drop is a rise: less is better." if content.metric == "log_loss" else ""
  notes = "".join(f"<li>{escape(note)}</li>" for note in content.notes)
  return (
    f'<p class="hint">How much {metric} drops on {count}{where} when these columns are permuted '
    f"over the examples, all of a group together.{rises} Features that stand in for each other "
    "look less important than they are. The smallest and the largest drop of the repeats show when "
    "the mouse rests on a number.</p>" + (f'<ul class="notes">{notes}</ul>' if notes else "")
  )


def importance(content: Importance, names: Names) -> dict[str, str]:
  """Returns the drops by group and by feature, the largest mean drop first.

  Returns:
    Tables by heading; empty if nothing was measured.
  """
  parts = {"By group of features": content.groups, "By feature": content.features}
  return {name: _drops(entries, content, names) for name, entries in parts.items() if entries}


def _drops(entries: Sequence[Importance.Entry], content: Importance, names: Names) -> str:
  tasks = list(dict.fromkeys(task for entry in entries for task in entry.drop))
  ordered = sorted(entries, key=lambda entry: -_mean(entry.drop.values()))
  largest = max([abs(v) for e in entries for v in e.drop.values() if v is not None], default=0)
  footnotes = Footnotes()
  rows = []
  if content.baseline:
    rows.append(
      [
        Cell("<i>the metric with all features</i>"),
        *([] if _lack_counts(entries) else [Cell("")]),
        Cell(""),
        *(_baseline(content, task, footnotes) for task in tasks),
      ]
    )
  for entry in ordered[:_MOST_SHOWN]:
    count = len(entry.features) if isinstance(entry.features, list) else entry.features
    rows.append(
      [
        Cell(breakable(shortened(entry.name))),
        *([] if _lack_counts(entries) else [number(count, ",.0f", footnotes)]),
        number(_mean(entry.drop.values()), ".4f", footnotes),
        *(_drop(entry, task, largest, content, footnotes) for task in tasks),
      ]
    )
  headings = [
    Heading("permuted"),
    *([] if _lack_counts(entries) else [Heading("columns")]),
    Heading("mean drop", "Over the tasks"),
    *(Heading(names.text(task), task) for task in tasks),
  ]
  rest = len(entries) - _MOST_SHOWN
  note = f'<p class="hint">{rest:,} with smaller drops are not shown.</p>' if rest > 0 else ""
  return table(headings, {"": rows}, footnotes) + note


def _baseline(content: Importance, task: str, footnotes: Footnotes) -> Cell:
  reason = content.reasons.get(task, NOT_MEASURED)
  return number(content.baseline.get(task), ".4f", footnotes, reason)


def _lack_counts(entries: Sequence[Importance.Entry]) -> bool:
  """Whether there is nothing to tell about how many columns were permuted."""
  return all(
    entry.features in (None, 1) or (isinstance(entry.features, list) and len(entry.features) == 1)
    for entry in entries
  )


def _drop(
  entry: Importance.Entry, task: str, largest: float, content: Importance, footnotes: Footnotes
) -> Cell:
  """A drop on a ground the darker the larger it is; its interval is the tooltip."""
  value = entry.drop.get(task)
  if value is None:
    return footnotes.dash(content.reasons.get(task, NOT_MEASURED))
  low = (entry.drop_low or {}).get(task)
  high = (entry.drop_high or {}).get(task)
  tooltip = (
    "" if low is None or high is None else f"{formatted(low, '.4f')} … {formatted(high, '.4f')}"
  )
  strength = abs(value) / largest if largest else 0.0
  kind = "loss" if value > 0 else "gain"
  return _heated(formatted(value, ".4f"), value, strength, kind, tooltip)


def what_if(evaluation: Evaluation, names: Names) -> str:
  """Returns the scenarios' metrics and what their first places gain and lose, or "" without any."""
  found = {name: part.what_if for name, part in evaluation.partitions.items() if part.what_if}
  found = {name: content for name, content in found.items() if content.scenarios}
  if not found:
    return ""
  scenarios = [scenario for content in found.values() for scenario in content.scenarios]
  metrics = list(dict.fromkeys(name for scenario in scenarios for name in scenario.metrics))
  tasks = list(dict.fromkeys(task for scenario in scenarios for task in scenario.top_tasks))
  weights = evaluation.score.weights
  result = _scenario_metrics(found, metrics, weights, names) + (
    '<p class="hint">The labels come from the order that people saw: any other looks worse than it '
    "is, the more so the smaller Kendall's tau is.</p>"
  )
  if tasks:
    result += _top_tasks(found, tasks, weights, names)
  return result


def _scenario_metrics(
  found: Mapping[str, WhatIf],
  metrics: Sequence[str],
  weights: Mapping[str, Optional[float]],
  names: Names,
) -> str:
  footnotes = Footnotes()
  groups = {}
  for partition, content in found.items():
    groups[partition] = [
      [
        Cell(breakable(shortened(scenario.name))),
        *(_scenario_metric(content, scenario, metric, footnotes) for metric in metrics),
        Cell(_changed_weights(scenario, weights, names), classes="prose"),
      ]
      for scenario in content.scenarios
    ]
  headings = [
    Heading("scenario"),
    *(_metric_heading(metric) for metric in metrics),
    Heading("changed weights"),
  ]
  return table(headings, groups, footnotes)


def _scenario_metric(
  content: WhatIf, scenario: WhatIf.Scenario, metric: str, footnotes: Footnotes
) -> Cell:
  if metric not in scenario.metrics and content.reason is not None:
    return footnotes.dash(content.reason)
  style = _KINDS.get(metric.split("@")[0], ("", "", ".4f"))[2]
  return metric_cell(scenario, Column(metric, "", "", style), footnotes)


def _metric_heading(metric: str) -> Heading:
  kind, _, cutoff = metric.partition("@")
  text, meaning, _ = _KINDS.get(kind, (shortened(metric), "", ""))
  return Heading(text.replace("{k}", cutoff), meaning)


def _changed_weights(
  scenario: WhatIf.Scenario, weights: Mapping[str, Optional[float]], names: Names
) -> str:
  changed = [
    f"{names.html(task)} {_weight(weights.get(task))} → {_weight(weight)}"
    for task, weight in scenario.weights.items()
    if weights.get(task) != weight
  ]
  return ", ".join(changed) or "none"


def _top_tasks(
  found: Mapping[str, WhatIf],
  tasks: Sequence[str],
  weights: Mapping[str, Optional[float]],
  names: Names,
) -> str:
  footnotes = Footnotes()
  groups = {
    partition: [
      [
        Cell(breakable(shortened(scenario.name))),
        *(_shift(scenario.top_tasks.get(task), weights.get(task), footnotes) for task in tasks),
      ]
      for scenario in content.scenarios
      if scenario.top_tasks
    ]
    for partition, content in found.items()
  }
  headings = [Heading("scenario"), *(Heading(names.text(task), task) for task in tasks)]
  cutoff = next((content.cutoff for content in found.values() if content.cutoff), None)
  places = "first place" if cutoff == 1 else f"first {cutoff or ''} places".replace("  ", " ")
  return (
    f"<h3>What the {places} gain and lose</h3>"
    + table(headings, {name: rows for name, rows in groups.items() if rows}, footnotes)
    + '<p class="hint">By how much the mean prediction there changes. Blue: more of what the '
    "present score rewards, or less of what it punishes; orange: the opposite. Resting on a number "
    "shows the predictions and, where the task is measured, the shares of label 1.</p>"
  )


def _shift(top: Optional[TopTask], weight: Optional[float], footnotes: Footnotes) -> Cell:
  if top is None or top.predicted is None or top.predicted_before is None:
    return footnotes.dash(NOT_MEASURED)
  if not top.predicted_before:
    return footnotes.dash("the mean prediction was 0")
  value = top.predicted / top.predicted_before - 1
  tooltip = f"predicted {_rate(top.predicted_before)} → {_rate(top.predicted)}"
  if top.observed is not None and top.observed_before is not None:
    tooltip += f", observed {_rate(top.observed_before)} → {_rate(top.observed)}"
  is_good = value * (weight or 0.0) > 0
  strength = min(abs(value) / _STRONG_SHIFT, 1.0) if weight else 0.0
  return _heated(formatted(value, "+.1%"), value, strength, "gain" if is_good else "loss", tooltip)


def _rate(value: float) -> str:
  return formatted(value, ".3g")


def _heated(text: str, value: float, strength: float, kind: str, tooltip: str) -> Cell:
  """A number on a ground the darker the stronger it is, from 0 to 1."""
  return Cell(
    f'<span class="heat {kind}" style="--strength:{_DARKEST * strength:.0f}%" title="{tooltip}">'
    f"{text}</span>",
    value,
    "heated",
  )


def _weight(value: Optional[float]) -> str:
  return "–" if value is None else formatted(value, "g")


def _mean(values: Sequence[Optional[float]]) -> float:
  defined = [value for value in values if value is not None]
  return sum(defined) / len(defined) if defined else 0.0

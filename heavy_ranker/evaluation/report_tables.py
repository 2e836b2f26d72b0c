"""The report's tables of metrics."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional

from heavy_ranker.evaluation.report_data import (
  Evaluation,
  Gain,
  Interval,
  Partition,
  TaskMetrics,
  TaskResult,
)
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

NOT_MEASURED = "not measured in this evaluation"


class Column(NamedTuple):
  """A metric as a column of a table.

  Attributes:
    metric: its name in the file.
    heading: short, for the column.
    meaning: for the tooltip.
    format: of its values.
    usual: values outside of this range are marked; None marks none.
  """

  metric: str
  heading: str
  meaning: str
  format: str
  usual: Optional[tuple[float, float]] = None


_ANY = float("inf")
SUMMARY_COLUMNS = (
  Column("examples", "examples", "Examples measured", ",.0f"),
  Column("positives", "positives", "Examples with label 1", ",.0f"),
  Column(
    "relative_cross_entropy",
    "RCE\u00a0%",
    "Relative cross entropy: the share of the cross entropy of always predicting the mean that the "
    "model saves",
    ".2f",
    (0, _ANY),
  ),
  Column(
    "normalized_relative_cross_entropy",
    "NRCE\u00a0%",
    "RCE after scaling the predictions to the right mean",
    ".2f",
    (0, _ANY),
  ),
  Column("auroc", "AUROC", "Chance that a positive is ranked above a negative", ".4f", (0.5, _ANY)),
  Column(
    "grouped_auc", "GAUC", "AUROC among the candidates of one user, averaged", ".4f", (0.5, _ANY)
  ),
  Column(
    "average_precision", "PR\u2011AUC", "Average precision: area under precision over recall", ".4f"
  ),
  Column("click_through_rate", "CTR", "Weighted share of positives", ".3g"),
  Column(
    "predicted_to_actual_ratio",
    "PCTR/CTR",
    "Mean prediction over the share of positives; 1 is right",
    ".3f",
    (0.8, 1.25),
  ),
  Column("expected_calibration_error", "ECE", "Expected calibration error", ".3g"),
  Column("log_loss", "log loss", "Cross entropy, in nats", ".4g"),
)
_BY_METRIC = {column.metric: column for column in SUMMARY_COLUMNS}
_BASELINES = {
  "always_mean": ("always mean", "Predicts the mean label for every example"),
  "logistic_regression": ("logistic regression", "A linear model on the same features"),
  "teacher": ("teacher", "The probabilities that the labels were drawn with"),
}
_COMPARED = ("relative_cross_entropy", "auroc", "average_precision")


def summary(evaluation: Evaluation, names: Names) -> str:
  """Returns the table of all tasks and partitions; a metric that no task has is left out."""
  results = [result for part in evaluation.partitions.values() for result in part.tasks.values()]
  columns = [
    column
    for column in SUMMARY_COLUMNS
    if any(column.metric in (*result.metrics, *result.reasons) for result in results)
  ]
  footnotes = Footnotes()
  groups = {
    partition: [
      [Cell(names.html(task)), *(metric_cell(result, column, footnotes) for column in columns)]
      for task, result in content.tasks.items()
    ]
    for partition, content in evaluation.partitions.items()
  }
  headings = [Heading("task"), *(Heading(column.heading, column.meaning) for column in columns)]
  return table(headings, groups, footnotes)


def meanings() -> str:
  """Returns what the columns of the summary mean."""
  return "".join(
    f"<dt>{escape(column.heading)}</dt><dd>{escape(column.meaning)}</dd>"
    for column in SUMMARY_COLUMNS
  )


def metric_cell(result: TaskMetrics, column: Column, footnotes: Footnotes) -> Cell:
  """Returns a metric with its confidence interval, or a dash with the reason."""
  value = result.metrics.get(column.metric)
  if value is None:
    return footnotes.dash(result.reasons.get(column.metric, NOT_MEASURED))
  bound = result.approximation_error.get(column.metric)
  text = formatted(value, column.format)
  if bound:
    text = f'<span title="approximate: off by at most {bound:.2g}">≈ {text}</span>'
  text += _interval(result.confidence.get(column.metric), column.format)
  is_usual = column.usual is None or column.usual[0] <= value <= column.usual[1]
  return Cell(text, value, "" if is_usual else "unusual")


def data(evaluation: Evaluation) -> str:
  """Returns what was measured on each partition, and the notes about it."""
  footnotes = Footnotes()
  rows = [
    [
      Cell(breakable(shortened(name))),
      *(number(value, ",.0f", footnotes) for value in (part.examples, part.users, part.batches)),
      _yes_or_no(part.complete, "cut short by num_eval_steps"),
      _yes_or_no(part.exact, "approximate"),
    ]
    for name, part in evaluation.partitions.items()
  ]
  headings = [
    Heading("partition"),
    Heading("examples"),
    Heading("users"),
    Heading("batches"),
    Heading("all data read", "Whether every record of the partition was read"),
    Heading("exact", "Whether every metric was computed without approximation"),
  ]
  notes = "".join(
    f"<li><b>{breakable(shortened(name))}</b>: {escape(note)}</li>"
    for name, part in evaluation.partitions.items()
    for note in part.notes
  )
  return table(headings, {"": rows}, footnotes) + (
    f'<ul class="notes">{notes}</ul>' if notes else ""
  )


def ranking(evaluation: Evaluation) -> str:
  """Returns the metrics of the order by score, or "" if there are none."""
  partitions = evaluation.partitions
  metrics = list(dict.fromkeys(name for part in partitions.values() for name in part.ranking))
  if not metrics:
    return ""
  footnotes = Footnotes()
  rows = []
  for name, part in partitions.items():
    cells = []
    for metric in metrics:
      as_result = TaskMetrics(metrics=part.ranking, confidence=part.ranking_confidence)
      cells.append(metric_cell(as_result, Column(metric, "", "", ".4f"), footnotes))
    rows.append([Cell(breakable(shortened(name))), *cells])
  return table([Heading("partition"), *map(Heading, metrics)], {"": rows}, footnotes)


def baselines(evaluation: Evaluation, names: Names) -> str:
  """Returns the baselines' metrics and what the model is better by, or "" without any."""
  results = [result for part in evaluation.partitions.values() for result in part.tasks.values()]
  pairs = [
    (baseline, metric)
    for baseline in dict.fromkeys(name for result in results for name in result.baselines)
    for metric in _COMPARED
    if any(result.baselines.get(baseline, {}).get(metric) is not None for result in results)
  ]
  has_share = any(result.achievable_rce_share is not None for result in results)
  if not pairs and not has_share:
    return ""
  footnotes = Footnotes()
  headings = [Heading("task"), *(_baseline_heading(*pair) for pair in pairs)]
  if has_share:
    meaning = "The model's RCE as a share of the best possible one"
    headings.insert(1, Heading("share of achievable RCE", meaning))
  groups = {}
  for partition, content in evaluation.partitions.items():
    rows = []
    for task, result in content.tasks.items():
      cells = [_comparison(result, *pair, footnotes) for pair in pairs]
      if has_share:
        share = result.achievable_rce_share
        cells.insert(0, number(share, ".1%", footnotes, "the best is unknown"))
      rows.append([Cell(names.html(task)), *cells])
    groups[partition] = rows
  return table(headings, groups, footnotes)


def _baseline_heading(baseline: str, metric: str) -> Heading:
  name, meaning = _BASELINES.get(baseline, (shortened(baseline), ""))
  column = _BY_METRIC[metric]
  return Heading(f"{name}: {column.heading}", f"{meaning}. {column.meaning}".lstrip(". "))


def _comparison(result: TaskResult, baseline: str, metric: str, footnotes: Footnotes) -> Cell:
  column = _BY_METRIC[metric]
  value = result.baselines.get(baseline, {}).get(metric)
  if value is None:
    return footnotes.dash(f"{_BASELINES.get(baseline, (baseline,))[0]}: {NOT_MEASURED}")
  text = formatted(value, column.format)
  model = result.metrics.get(metric)
  if model is None:
    return Cell(text, value)
  gain = result.gain.get(baseline, {}).get(metric, Gain(value=model - value))
  if gain.value is None:
    return Cell(text, value)
  style = f"+{column.format}"
  # Without an interval, the sign is all there is to go by.
  low = gain.value if gain.low is None else gain.low
  high = gain.value if gain.high is None else gain.high
  kind = "better" if low > 0 else "worse" if high < 0 else ""
  text += f'<small class="{kind}">{formatted(gain.value, style)}</small>'
  return Cell(text + _interval((gain.low, gain.high), style), value)


def strata(partition: Partition, names: Names) -> dict[str, str]:
  """Returns a table for each metric, with a row a stratum and a column a task.

  Returns:
    By the metric's heading; empty if there are no strata. The first row is all examples.
  """
  if not partition.strata:
    return {}
  tasks = [
    task
    for task in partition.tasks
    if any(task in stratum.tasks for stratum in partition.strata.values())
  ]
  tables = {}
  for metric in ("relative_cross_entropy", "auroc", "predicted_to_actual_ratio"):
    rows, footnotes = [], Footnotes()
    if not any(
      metric in results.metrics
      for stratum in partition.strata.values()
      for results in stratum.tasks.values()
    ):
      continue
    content = [("all examples", partition.examples, partition.tasks)]
    content += [(name, part.examples, part.tasks) for name, part in partition.strata.items()]
    for name, examples, results in content:
      cells = [
        metric_cell(results.get(task, TaskMetrics()), _BY_METRIC[metric], footnotes)
        for task in tasks
      ]
      rows.append([Cell(breakable(shortened(name))), number(examples, ",.0f", footnotes), *cells])
    headings = [Heading("stratum"), Heading("examples"), *_task_headings(tasks, names)]
    tables[_BY_METRIC[metric].heading] = table(headings, {"": rows}, footnotes)
  return tables


def _task_headings(tasks: Iterable[str], names: Names) -> list[Heading]:
  return [Heading(names.text(task), task) for task in tasks]


def score_shares(partition: Partition, weights: Mapping[str, Optional[float]], names: Names) -> str:
  """Returns bars of what each task contributes to the score, or "" if nobody measured that."""
  shares = {
    task: result.score_share for task, result in partition.tasks.items() if result.score_share
  }
  if not shares:
    return ""
  footnotes = Footnotes()
  columns = [[share.mean for share in shares.values()], [s.variance for s in shares.values()]]
  ranges = [(min(0, *_defined(column)), max(0, *_defined(column))) for column in columns]
  rows = [
    [
      Cell(names.html(task)),
      number(weights.get(task), "g", footnotes, "not in the score"),
      _bar(share.mean, *ranges[0], footnotes),
      _bar(share.variance, *ranges[1], footnotes),
    ]
    for task, share in shares.items()
  ]
  headings = [
    Heading("task"),
    Heading("weight", "In the score"),
    Heading("share of the mean", "Of the mean absolute value of weight times probability"),
    Heading(
      "share of the variance", "Of the score's variance; below 0 where a task offsets others"
    ),
  ]
  return table(headings, {"": rows}, footnotes)


def _bar(value: Optional[float], low: float, high: float, footnotes: Footnotes) -> Cell:
  """A number with a bar from 0 on a scale from low to high."""
  if value is None:
    return footnotes.dash(NOT_MEASURED)
  length = max(high - low, 1e-12)
  left, width = 100 * (min(value, 0) - low) / length, 100 * abs(value) / length
  text = formatted(value, ".1%")
  style = f"left:{left:.2f}%;width:{width:.2f}%"
  return Cell(
    f'<span class="bar"><i style="{style}"></i></span><span class="amount">{text}</span>',
    value,
    "bars",
  )


def number(
  value: Optional[float], style: str, footnotes: Footnotes, reason: str = NOT_MEASURED
) -> Cell:
  """Returns a number, or a dash with the reason."""
  if value is None:
    return footnotes.dash(reason)
  return Cell(formatted(value, style), value)


def _interval(interval: Optional[Interval], style: str) -> str:
  if interval is None or None in interval:
    return ""
  low, high = (formatted(end, style) for end in interval)
  return f"<small>{low} … {high}</small>"


def _yes_or_no(value: Optional[bool], otherwise: str) -> Cell:
  if value is None:
    return Cell("–")
  return Cell("yes") if value else Cell(f"no: {otherwise}", classes="unusual")


def _defined(values: Iterable[Optional[float]]) -> list[float]:
  return [0.0, *(value for value in values if value is not None)]

"""The report's plots with their captions and legends, arranged in grids."""

from collections.abc import Mapping
from typing import Callable, Optional

from heavy_ranker.evaluation import report_plots
from heavy_ranker.evaluation.report_data import Evaluations, Partition, PartitionMetrics, TaskResult
from heavy_ranker.evaluation.report_html import Names, breakable, escape, shortened
from heavy_ranker.evaluation.report_svg import style

_TASK_METRICS = {"auroc": "AUROC", "relative_cross_entropy": "RCE, percent"}
_Value = tuple[Optional[float], Optional[float], Optional[float]]


def tasks(partition: Partition, names: Names, anchor: str) -> tuple[str, list[tuple[str, str]]]:
  """Returns a row of plots for each task, and the tasks' anchors with their names.

  Args:
    partition: what was measured.
    names: of the tasks.
    anchor: begins the anchors.
  """
  rows, links = [], []
  with style():
    for position, (task, result) in enumerate(partition.tasks.items()):
      identifier = f"{anchor}-task-{position}"
      figures = _task_figures(result, identifier)
      if figures:
        rows.append(
          f'<h4 id="{identifier}">{names.html(task)}</h4><div class="grid">{figures}</div>'
        )
        links.append((identifier, names.text(task)))
  if not rows:
    return "", []
  has_raw = any(result.reliability.get("uncalibrated") for result in partition.tasks.values())
  legend = {
    "predictions" + (" after calibration" if has_raw else ""): (report_plots.CALIBRATED_COLOR, "-"),
    **({"before calibration": (report_plots.UNCALIBRATED_COLOR, "-")} if has_raw else {}),
    "negatives": (report_plots.NEGATIVE_COLOR, "-"),
    "positives": (report_plots.POSITIVE_COLOR, "-"),
    "perfect calibration, random order": (report_plots.MUTED, "--"),
  }
  hint = (
    '<p class="hint">Probabilities are on logit axes. In the reliability diagram a dot is a bin of '
    "examples, its area the bin's weight; a triangle is a bin without a positive.</p>"
  )
  return f"<h3>Tasks</h3>{hint}{_legend(legend)}{''.join(rows)}", links


def _task_figures(result: TaskResult, identifier: str) -> str:
  metrics = result.metrics
  plots = {
    "Reliability": report_plots.reliability(result.reliability, f"{identifier}-a"),
    "Predictions by class": report_plots.probabilities(
      result.probability_histogram, f"{identifier}-b"
    ),
    f"ROC{_value(metrics, 'auroc', 'area')}": report_plots.roc(result.roc, f"{identifier}-c"),
    f"Precision-recall{_value(metrics, 'average_precision', 'area')}": (
      report_plots.precision_recall(
        result.precision_recall, metrics.get("click_through_rate"), f"{identifier}-d"
      )
    ),
  }
  return "".join(_figure(escape(caption), plot) for caption, plot in plots.items() if plot)


def _value(metrics: Mapping[str, Optional[float]], name: str, meaning: str) -> str:
  value = metrics.get(name)
  return "" if value is None else f", {meaning} {value:.4f}"


def scores(partition: Partition, anchor: str) -> str:
  """Returns the distribution of the score, or ""."""
  with style():
    plot = report_plots.scores(partition.score_histogram, f"{anchor}-score")
  return f"<h3>Distribution of the score</h3>{_figure('', plot, 'wide')}" if plot else ""


def over_steps(evaluations: Evaluations, names: Names) -> str:
  """Returns a plot of each metric over training steps, one line a partition."""
  partitions = list(evaluations.shown.partitions)
  content = ""
  with style():
    rankings = dict.fromkeys(
      name for part in evaluations.shown.partitions.values() for name in part.ranking
    )
    content += _metric_grid(
      "Order by the score",
      {
        escape(shortened(name)): _lines(evaluations, lambda part, name=name: _ranking(part, name))
        for name in rankings
      },
      evaluations.step,
      "steps-ranking",
    )
    tasks = dict.fromkeys(
      task for part in evaluations.shown.partitions.values() for task in part.tasks
    )
    for metric, title in _TASK_METRICS.items():
      plots = {
        names.html(task): _lines(
          evaluations, lambda part, task=task, metric=metric: _metric(part, task, metric)
        )
        for task in tasks
      }
      content += _metric_grid(title, plots, evaluations.step, f"steps-{metric}")
  if not content:
    return ""
  if len(evaluations.history) < 2:
    return '<p class="hint">One evaluation so far: curves begin with the second.</p>'
  legend = {
    shortened(name): report_plots.line_style(position) for position, name in enumerate(partitions)
  }
  hint = '<p class="hint">Bands are confidence intervals; the dotted line is this report.</p>'
  return hint + (_legend(legend) if len(legend) > 1 else "") + content


def _metric_grid(
  title: str, plots: Mapping[str, Mapping[int, report_plots.Series]], step: int, identifier: str
) -> str:
  drawn = {
    caption: report_plots.over_steps(lines, step, f"{identifier}-{position}")
    for position, (caption, lines) in enumerate(plots.items())
  }
  figures = "".join(_figure(f"<b>{caption}</b>", plot) for caption, plot in drawn.items() if plot)
  return f'<h3>{escape(title)}</h3><div class="grid">{figures}</div>' if figures else ""


def _lines(
  evaluations: Evaluations, value_of: Callable[[PartitionMetrics], _Value]
) -> dict[int, report_plots.Series]:
  """A metric over all steps, by the position of the partition in the evaluation shown."""
  lines = {}
  for position, name in enumerate(evaluations.shown.partitions):
    points = [
      (step, *(float("nan") if number is None else number for number in value_of(part)))
      for step, evaluation in evaluations.history.items()
      for part in [evaluation.partitions.get(name)]
      if part is not None
    ]
    if points:
      lines[position] = report_plots.Series(*zip(*points))
  return lines


def _metric(partition: PartitionMetrics, task: str, metric: str) -> _Value:
  result = partition.tasks.get(task)
  if result is None:
    return None, None, None
  return (result.metrics.get(metric), *result.confidence.get(metric, (None, None)))


def _ranking(partition: PartitionMetrics, metric: str) -> _Value:
  interval = partition.ranking_confidence.get(metric, (None, None))
  return (partition.ranking.get(metric), *interval)


def _figure(caption: str, plot: str, kind: str = "") -> str:
  text = f"<figcaption>{caption}</figcaption>" if caption else ""
  return f'<figure class="{kind}">{text}{plot}</figure>'


def _legend(entries: Mapping[str, tuple[str, str]]) -> str:
  """Names with a piece of their line."""
  dashes = {"-": "", "--": "6 3", ":": "1.5 3", "-.": "6 3 1.5 3"}
  items = "".join(
    '<li><svg viewBox="0 0 32 12" aria-hidden="true"><line x1="0" x2="32" y1="6" y2="6" '
    f'stroke="{color}" stroke-width="4" stroke-dasharray="{dashes[dash]}"/></svg>'
    f"{breakable(name)}</li>"
    for name, (color, dash) in entries.items()
  )
  return f'<ul class="legend">{items}</ul>'

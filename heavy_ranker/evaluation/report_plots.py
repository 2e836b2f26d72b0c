"""The report's plots, each one small figure as SVG, in matplotlib's object API.

No name of a task or partition enters a plot: those are the page's to show, so that they can be of
any length and need no quoting. Each function returns "" if there is nothing to draw.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from heavy_ranker.evaluation.report_data import (
  PrecisionRecallCurve,
  ProbabilityHistogram,
  ReliabilityBin,
  RocCurve,
  ScoreHistogram,
)
from heavy_ranker.evaluation.report_svg import COLORS, MUTED, to_svg

POSITIVE_COLOR, NEGATIVE_COLOR = COLORS[1], COLORS[0]
CALIBRATED_COLOR, UNCALIBRATED_COLOR = COLORS[0], COLORS[1]
_SIZE = (3.3, 2.5)
_WIDE = (8.0, 2.5)
_MOST_EXTREME = 1e-7
_DASHES = ("-", "--", ":", "-.")
_PROBABILITIES = {
  1e-6: "10⁻⁶",
  1e-5: "10⁻⁵",
  1e-4: "10⁻⁴",
  1e-3: "0.001",
  1e-2: "0.01",
  0.1: "0.1",
  0.5: "0.5",
  0.9: "0.9",
  0.99: "0.99",
  0.999: "0.999",
}


class Series(NamedTuple):
  """A metric over training steps on one partition.

  Attributes:
    steps: ascending.
    values: NaN where the metric is not defined.
    low: lower end of the confidence interval, NaN where there is none.
    high: upper end.
  """

  steps: Sequence[int]
  values: Sequence[float]
  low: Sequence[float]
  high: Sequence[float]


def line_style(position: int) -> tuple[str, str]:
  """Returns colour and dash of the line of the n-th partition."""
  return COLORS[position % len(COLORS)], _DASHES[position // len(COLORS) % len(_DASHES)]


def reliability(curves: Mapping[str, Sequence[ReliabilityBin]], identifier: str) -> str:
  """Draws observed against predicted rates on logit axes; a dot's area is its bin's weight.

  A bin without a positive has no place on such an axis: a triangle marks it at the lower edge.
  """
  figure, axes = _figure("predicted", "observed")
  drawn, pairs = [], []
  for name, color in (("uncalibrated", UNCALIBRATED_COLOR), ("calibrated", CALIBRATED_COLOR)):
    bins = np.array(
      [[bin.predicted, bin.observed, bin.weight] for bin in curves.get(name, [])], dtype=float
    ).reshape(-1, 3)
    bins = bins[np.isfinite(bins[:, :2]).all(axis=1)]
    if len(bins):
      drawn.append((bins, color, name == "calibrated"))
      pairs.append(bins[:, :2][bins[:, :2] > 0])
  seen = np.concatenate(pairs) if pairs else np.array([])
  if not drawn or not seen.size:
    return ""
  low, high = _logit(seen.min()) - 0.7, _logit(seen.max()) + 0.7
  axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, linestyle="--")
  for bins, color, is_filled in drawn:
    _draw_bins(axes, bins, color, is_filled, low)
  _probability_axis(axes, "x", low, high)
  _probability_axis(axes, "y", low, high)
  return to_svg(figure, identifier, "Observed against predicted rate")


def _draw_bins(axes: Axes, bins: np.ndarray, color: str, is_filled: bool, floor: float) -> None:
  predicted, observed, weight = bins.T
  has_positives = observed > 0
  x, y = _logit(predicted), np.where(has_positives, _logit(observed), floor + 0.15)
  weight = np.nan_to_num(weight)
  area = 5 + 30 * weight / max(weight.max(), 1e-300)
  axes.plot(x[has_positives], y[has_positives], color=color, linewidth=0.9, alpha=0.8)
  for mask, marker in ((has_positives, "o"), (~has_positives, "v")):
    face = color if is_filled else "none"
    axes.scatter(
      x[mask], y[mask], s=area[mask], marker=marker, facecolors=face, edgecolors=color, linewidths=1
    )


def roc(curve: Optional[RocCurve], identifier: str) -> str:
  """Draws true positive rate against false positive rate."""
  x, y = _points(curve, "false_positive_rate", "true_positive_rate")
  if not x.size:
    return ""
  figure, axes = _figure("false positive rate", "true positive rate")
  axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--")
  axes.fill_between(x, y, color=COLORS[0], alpha=0.12, linewidth=0)
  axes.plot(x, y, color=COLORS[0])
  axes.set(xlim=(0, 1), ylim=(0, 1.02))
  return to_svg(figure, identifier, "ROC curve")


def precision_recall(
  curve: Optional[PrecisionRecallCurve], rate: Optional[float], identifier: str
) -> str:
  """Draws precision (logarithmic) against recall; the dashed line is a random order's precision."""
  x, y = _points(curve, "recall", "precision")
  x, y = x[y > 0], y[y > 0]
  if not x.size:
    return ""
  figure, axes = _figure("recall", "precision")
  order = np.argsort(x, kind="stable")
  axes.plot(x[order], y[order], color=COLORS[0], drawstyle="steps-pre")
  lowest = y.min()
  if rate:
    axes.axhline(rate, color=MUTED, linewidth=0.8, linestyle="--")
    lowest = min(lowest, rate)
  axes.set_yscale("log")
  low = max(lowest / 1.6, _MOST_EXTREME)
  axes.set(xlim=(0, 1), ylim=(low, 1.25))
  powers = [10.0**power for power in range(-7, 1) if 10.0**power >= low]
  axes.set_yticks(powers, [_PROBABILITIES.get(power, f"{power:g}") for power in powers])
  axes.set_yticks([], minor=True)
  return to_svg(figure, identifier, "Precision-recall curve")


def probabilities(histogram: Optional[ProbabilityHistogram], identifier: str) -> str:
  """Draws how the predictions of positives and of negatives spread, each class as shares of 1."""
  if histogram is None or not histogram.edges:
    return ""
  edges = _logit(_floats(histogram.edges))
  classes = [
    (np.nan_to_num(_floats(histogram.negatives)), NEGATIVE_COLOR),
    (np.nan_to_num(_floats(histogram.positives)), POSITIVE_COLOR),
  ]
  drawn = [(counts / counts.sum(), color) for counts, color in classes if counts.sum() > 0]
  if not drawn or not np.isfinite(edges).all():
    return ""
  figure, axes = _figure("predicted probability", "share of its class")
  for shares, color in drawn:
    axes.stairs(shares, edges, fill=True, color=color, alpha=0.22, linewidth=0)
    axes.stairs(shares, edges, color=color, linewidth=1.2)
  held = np.flatnonzero(sum(shares for shares, _ in drawn) > 0)
  _probability_axis(axes, "x", edges[held[0]], edges[held[-1] + 1])
  axes.set_ylim(bottom=0)
  axes.yaxis.set_major_locator(MaxNLocator(4))
  return to_svg(figure, identifier, "Predictions of positives and negatives")


def scores(histogram: Optional[ScoreHistogram], identifier: str) -> str:
  """Draws how many examples have which score; numbers on a logarithmic axis."""
  if histogram is None or not histogram.edges:
    return ""
  edges, counts = _floats(histogram.edges), np.nan_to_num(_floats(histogram.counts))
  if not counts.max(initial=0) > 0 or not np.isfinite(edges).all():
    return ""
  figure, axes = _figure("score", "examples", _WIDE)
  axes.stairs(counts, edges, fill=True, color=COLORS[0], alpha=0.3, linewidth=0, baseline=0.5)
  axes.stairs(counts, edges, color=COLORS[0], linewidth=1.1, baseline=0.5)
  axes.set_yscale("log")
  axes.set_ylim(bottom=0.5)
  axes.set_yticks([], minor=True)
  powers = np.arange(0, np.ceil(np.log10(counts.max())) + 1, dtype=int)
  powers = powers[:: max(1, len(powers) // 4)]
  axes.set_yticks(10.0**powers, [_count(int(power)) for power in powers])
  return to_svg(figure, identifier, "Distribution of the score")


def over_steps(lines: Mapping[int, Series], shown: int, identifier: str) -> str:
  """Draws one metric over training steps.

  Args:
    lines: by the position of the partition, which decides a line's style.
    shown: the step the report is about, marked by a dotted line.
    identifier: unique in the page.
  """
  figure, axes = _figure("step", "")
  is_empty = True
  for position, line in lines.items():
    color, dash = line_style(position)
    steps, values, low, high = (np.array(column, dtype=float) for column in line)
    if not np.isfinite(values).any():
      continue
    is_empty = False
    axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(steps, values, color=color, linestyle=dash, marker="o", markersize=2.6)
  if is_empty:
    return ""
  axes.axvline(shown, color=MUTED, linewidth=0.8, linestyle=":")
  axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
  axes.yaxis.set_major_locator(MaxNLocator(5))
  axes.ticklabel_format(useOffset=False, style="plain")
  return to_svg(figure, identifier, "Metric over training steps")


def _figure(x_label: str, y_label: str, size: tuple[float, float] = _SIZE) -> tuple[Figure, Axes]:
  figure = Figure(figsize=size)
  left, right, bottom, top = 0.56 / size[0], 0.14 / size[0], 0.42 / size[1], 0.1 / size[1]
  axes = figure.add_axes((left, bottom, 1 - left - right, 1 - bottom - top))
  axes.set(xlabel=x_label, ylabel=y_label)
  axes.yaxis.set_label_coords(-0.46 / (size[0] * (1 - left - right)), 0.5)
  return figure, axes


def _probability_axis(axes: Axes, which: str, low: float, high: float) -> None:
  """Puts ticks at round probabilities on an axis of logits."""
  ticks = {_logit(p): text for p, text in _PROBABILITIES.items() if low <= _logit(p) <= high}
  places = list(ticks)[:: max(1, len(ticks) // 4)]
  axis = axes.xaxis if which == "x" else axes.yaxis
  axis.set_ticks(places, [ticks[place] for place in places])
  (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)


def _logit(probability: np.ndarray) -> np.ndarray:
  clipped = np.clip(probability, _MOST_EXTREME, 1 - _MOST_EXTREME)
  return np.log(clipped / (1 - clipped))


def _floats(values: Sequence[Optional[float]]) -> np.ndarray:
  return np.array(values, dtype=float)


def _points(curve: Optional[object], x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
  """The points of a curve that are defined."""
  if curve is None:
    return np.array([]), np.array([])
  points = np.stack([_floats(getattr(curve, x)), _floats(getattr(curve, y))])
  return tuple(points[:, np.isfinite(points).all(axis=0)])


def _count(power: int) -> str:
  return str(10**power) if power < 4 else f"10{str(power).translate(_SUPERSCRIPTS)}"


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

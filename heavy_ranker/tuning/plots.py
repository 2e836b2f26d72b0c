"""The plot of a search: its history, and each parameter against the objective."""

import io
import math
from typing import Any

import optuna
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from heavy_ranker.evaluation.report_svg import COLORS, INK, MUTED, style
from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.study import best_trial, finished_trials, is_complete
from heavy_ranker.tuning.trial_table import short_names, shown_value

_COLUMNS = 3
_PANEL = (3.3, 2.6)
_LONGEST = 24


def search_plot(study: optuna.Study, space: SearchSpace) -> str:
  """Returns an SVG document; "" while no trial is complete.

  A dot is a trial, filled the best one; in the history the line is the best so far, and a cross a
  trial that was pruned or failed. The panels of parameters show complete trials.
  """
  best = best_trial(study)
  if best is None:
    return ""
  names = short_names(space)
  panels = 1 + len(names)
  columns = min(_COLUMNS, panels)
  rows = math.ceil(panels / columns)
  with style():
    size = (_PANEL[0] * columns, _PANEL[1] * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    _history(axes[0], study)
    axes[0].set_ylabel(space.objective.metric)
    for each, (name, short) in zip(axes[1:], names.items()):
      _parameter(each, study, name, space)
      each.set_xlabel(_plain(short))
    for unused in axes[panels:]:
      unused.set_axis_off()
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(buffer, format="svg", metadata={"Date": None})
  return buffer.getvalue().replace(INK, "#222222")


def _history(axes: Axes, study: optuna.Study) -> None:
  trials = finished_trials(study)
  complete = [
    (position, trial.value) for position, trial in enumerate(trials) if is_complete(trial)
  ]
  better = max if study.direction == optuna.study.StudyDirection.MAXIMIZE else min
  line: list[float] = []
  for _, value in complete:
    line.append(better(line[-1], value) if line else value)
  positions, values = zip(*complete)
  axes.step([*positions, len(trials) - 1], [*line, line[-1]], where="post", color=COLORS[1])
  axes.plot(positions, values, "o", color=COLORS[0], markersize=3.5, markerfacecolor="none")
  others = [position for position, trial in enumerate(trials) if not is_complete(trial)]
  axes.plot(others, [min(values)] * len(others), "x", color=MUTED, markersize=3.5)
  axes.set_xlabel("trial")
  axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _parameter(axes: Axes, study: optuna.Study, name: str, space: SearchSpace) -> None:
  parameter = space.parameters[name]
  complete = [trial for trial in finished_trials(study) if is_complete(trial)]
  x: list[Any] = [trial.params[name] for trial in complete]
  if parameter.choices is not None:
    x = [parameter.labels.index(label) for label in x]
    texts = {place: shown_value(trial, name, space) for place, trial in zip(x, complete)}
    axes.set_xticks(list(texts), [_plain(text) for text in texts.values()])
    axes.set_xlim(-0.5, len(parameter.choices) - 0.5)
  elif parameter.log:
    axes.set_xscale("log")
  elif parameter.integer:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
  y = [trial.value for trial in complete]
  best = complete.index(best_trial(study))
  axes.plot(x, y, "o", color=COLORS[0], markersize=3.5, markerfacecolor="none")
  axes.plot(x[best], y[best], "o", color=COLORS[1], markersize=5)


def _plain(text: str) -> str:
  """Returns a text that matplotlib shows as it is, shortened."""
  short = text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"
  return short.replace("$", r"\$")

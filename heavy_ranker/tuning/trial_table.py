"""Trials for people: a line when one ends, a table of all."""

import optuna
from tabulate import tabulate

from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.study import FAILURE, SECONDS, best_trial, finished_trials, is_complete
from heavy_ranker.tuning.trial_config import as_yaml

_MOST_SHOWN = 160


def short_names(space: SearchSpace) -> dict[str, str]:
  """Returns the end of each parameter's name that no other one has, by the whole name."""
  names = list(space.parameters)
  found = {}
  for name in names:
    parts = name.split(".")
    ends = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
    others = [other for other in names if other != name]
    found[name] = next(
      (end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others)), name
    )
  return found


def shown_value(trial: optuna.trial.FrozenTrial, name: str, space: SearchSpace) -> str:
  """Returns a parameter's value in a trial, for people; "" if it has none."""
  if name not in trial.params:
    return ""
  value = space.parameters[name].value_of(trial.params[name])
  return f"{value:.4g}" if isinstance(value, float) else as_yaml(value)


def outcome(trial: optuna.trial.FrozenTrial) -> str:
  """Returns how a trial ended: its value, where it was pruned and with what, or why it failed."""
  if FAILURE in trial.user_attrs:
    text = " ".join(trial.user_attrs[FAILURE].split())
    return f"failed: {text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '...'}"
  if is_complete(trial):
    return f"{trial.value:.6g}"
  step = trial.last_step
  return f"pruned after step {step}, with {trial.intermediate_values[step]:.6g}"


def describe_trial(study: optuna.Study, space: SearchSpace) -> str:
  """Returns a line about the last trial."""
  trials = finished_trials(study)
  trial, best, shorts = trials[-1], best_trial(study), short_names(space)
  values = ", ".join(f"{shorts[name]}={shown_value(trial, name, space)}" for name in shorts)
  ahead = "" if best is None else f"; best so far: {best.value:.6g} (trial {trials.index(best)})"
  seconds = trial.user_attrs.get(SECONDS, 0.0)
  return f"trial {len(trials) - 1} ({seconds:.0f} s): {outcome(trial)}; {values}{ahead}"


def ranked(study: optuna.Study) -> list[tuple[int, optuna.trial.FrozenTrial]]:
  """Returns position and trial: complete ones from the best on, then pruned, then failed ones."""
  sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

  def place(entry: tuple[int, optuna.trial.FrozenTrial]) -> tuple:
    position, trial = entry
    if is_complete(trial):
      return 0, sign * trial.value, position
    if FAILURE in trial.user_attrs:
      return 2, 0, position
    # Those that came further first; a value at another step says nothing.
    return 1, -(trial.last_step or 0), position

  return sorted(enumerate(finished_trials(study)), key=place)


def trial_table(study: optuna.Study, space: SearchSpace, style: str, most: int = 0) -> str:
  """Returns a table with a row a trial, the best first.

  Args:
    study: the search.
    space: its space.
    style: a table format of tabulate, such as "github".
    most: how many rows; 0 for all.
  """
  shorts = short_names(space)
  rows = [
    [
      str(position),
      _cell(outcome(trial), style),
      *(_cell(shown_value(trial, name, space), style) for name in shorts),
      f"{trial.user_attrs.get(SECONDS, 0.0):.0f}",
    ]
    for position, trial in ranked(study)[: most or None]
  ]
  headings = ["trial", space.objective.metric, *shorts.values(), "seconds"]
  return tabulate(rows, headings, tablefmt=style, disable_numparse=True)


def _cell(text: str, style: str) -> str:
  return text.replace("|", "\\|") if style == "github" else text

"""What a search leaves in its folder: table, plot, and the best trial's configuration."""

import os

import optuna

from heavy_ranker.config.objective import direction_of
from heavy_ranker.tuning.plots import search_plot
from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.study import best_trial, finished_trials, values_of
from heavy_ranker.tuning.trial_config import WAY_OUT, as_yaml, overrides_of, write_trial_config
from heavy_ranker.tuning.trial_table import trial_table
from tfrecords import files

TABLE_FILE, PLOT_FILE, BEST_FILE = "trials.md", "search.svg", "best.yaml"
# Beside the search, for the configuration of the best trial to be trained anew.
BEST_RUN = "best_run"


def write_report(
  study: optuna.Study,
  space: SearchSpace,
  folder: str,
  config_path: str,
  overrides: tuple[str, ...],
) -> None:
  """Writes `trials.md`, `search.svg` and, once a trial is complete, `best.yaml`.

  Args:
    study: the search.
    space: its space.
    folder: its folder.
    config_path: the base configuration.
    overrides: what all trials override.

  Raises:
    StorageError: something cannot be written.
  """
  objective = space.objective
  tasks = "" if objective.tasks == "all" else f" of {', '.join(objective.tasks)}"
  heading = (
    f"# Trials\n\n{objective.metric}{tasks} on {objective.partition}, to "
    f"{direction_of(objective)}\n\n"
  )
  table = heading + trial_table(study, space, "github") + "\n"
  files.write(os.path.join(folder, TABLE_FILE), table, WAY_OUT)
  plot = search_plot(study, space)
  if plot:
    files.write(os.path.join(folder, PLOT_FILE), plot, WAY_OUT)
  best = best_trial(study)
  if best is None:
    return
  save_dir = f"training.save_dir={as_yaml(os.path.join(folder, BEST_RUN))}"
  write_trial_config(
    os.path.join(folder, BEST_FILE),
    config_path,
    (*overrides, *overrides_of(space, values_of(best, space)), save_dir),
    f"Trial {finished_trials(study).index(best)}, the best of {len(finished_trials(study))}: "
    f"{objective.metric} {best.value:.6g} on {objective.partition}.",
  )

"""What a search tells in the end: the best trials, where everything lies, what to do next."""

import os
import shlex

import optuna

from heavy_ranker.tuning.report import BEST_FILE, PLOT_FILE, TABLE_FILE
from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.study import FAILURE, best_trial, finished_trials, is_complete
from heavy_ranker.tuning.trial_table import trial_table
from tfrecords import paths
from tfrecords.command_hints import command

_BEST_SHOWN = 10


def format_summary(study: optuna.Study, space: SearchSpace, folder: str) -> str:
  """Returns the end of a search as text.

  Args:
    study: the search, with at least one complete trial.
    space: its space.
    folder: its folder.
  """
  trials = finished_trials(study)
  complete = sum(map(is_complete, trials))
  failed = sum(FAILURE in trial.user_attrs for trial in trials)
  pruned = len(trials) - complete - failed
  best = best_trial(study)
  path = os.path.join(folder, BEST_FILE)
  flag = f"--config_path={shlex.quote(os.path.relpath(path, paths.caller_directory()))}"
  objective = space.objective
  return f"""
{trial_table(study, space, "simple", _BEST_SHOWN)}

done: {len(trials)} trials: {complete} complete, {pruned} pruned, {failed} failed
  best       trial {trials.index(best)}, {objective.metric} {best.value:.6g}
  its file   {path}
  all        {os.path.join(folder, TABLE_FILE)}
  plot       {os.path.join(folder, PLOT_FILE)}

next
  train it          {command("heavy_ranker", "train")} {flag}
  search on         the same command with --n_trials={2 * len(trials)}
  know how good it is on a partition that the search has not seen: the best of many trials is partly
  luck on {objective.partition}"""

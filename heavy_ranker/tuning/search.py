"""The search: one trial after the other, until as many are finished as were asked for."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

import optuna

from heavy_ranker import preemption
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.tuning.report import write_report
from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.study import (
  EXIT_CODE,
  FAILURE,
  SECONDS,
  best_trial,
  draw,
  finished_trials,
  make_pruner,
  next_trial,
  open_study,
  rungs_of,
)
from heavy_ranker.tuning.trial_config import as_yaml, overrides_of, write_trial_config
from heavy_ranker.tuning.trial_process import OUTPUT_FILE, Trial, TrialFailed, run_trial
from heavy_ranker.tuning.trial_table import describe_trial
from tfrecords.errors import ConfigError, StorageError, TrainingError, UserError
from tfrecords.progress import progress_bar

TRIALS_FOLDER = "trials"
_TRIAL_FILE = "trial.yaml"
# So many trials that fail in the same way, and none that does not, end the search.
_MOST_ALIKE = 3

RunTrial = Callable[[Trial, Callable[[int, float], bool]], Optional[float]]


@dataclass(frozen=True)
class SearchJob:
  """What to search, and where to.

  Attributes:
    config_path: the base configuration, absolute.
    overrides: "dotted.key=yaml value", for all trials.
    space: what to vary.
    n_trials: how many trials in all.
    output_dir: the search's folder, absolute; it exists.
    keep_trials: the folders of finished trials stay.
  """

  config_path: str
  overrides: tuple[str, ...]
  space: SearchSpace
  n_trials: int
  output_dir: str
  keep_trials: bool = False


def search(job: SearchJob, base: HeavyRankerConfig, run: RunTrial = run_trial) -> optuna.Study:
  """Searches, or goes on where an earlier process stopped; reports after each trial.

  Args:
    job: what to search.
    base: the base configuration, as `heavy_ranker.tuning.trial_config.check_space` returns it.
    run: runs a trial.

  Returns:
    The study, with at least one complete trial.

  Raises:
    UserError: no trial came to its end, or the folder cannot be used.
    Preempted, KeyboardInterrupt: it was told to end; the same call goes on.
  """
  try:
    return _Search(job, base, run).run()
  except OSError as error:
    raise StorageError(
      f"{job.output_dir}: the search cannot be recorded: {error}. Free space there and run the "
      "same command again: it goes on"
    ) from None


class _Search:
  def __init__(self, job: SearchJob, base: HeavyRankerConfig, run: RunTrial):
    self._job, self._run_trial = job, run
    self._study = open_study(job.output_dir, job.space, base)
    self._study.pruner = make_pruner(job.space, rungs_of(job.space, base.training.num_train_steps))
    self._failures: list[TrialFailed] = []

  def run(self) -> optuna.Study:
    job, total = self._job, self._job.n_trials
    done = len(finished_trials(self._study))
    if done:
      print(f"going on with the search in {job.output_dir}: {done} trials are finished", flush=True)
    with progress_bar(total, "searching", "trial", initial=min(done, total)) as bar:
      while done < total:
        self._run_one(done)
        bar.clear()
        print(describe_trial(self._study, job.space), flush=True)
        with preemption.held():
          write_report(self._study, job.space, job.output_dir, job.config_path, job.overrides)
        bar.update()
        done = len(finished_trials(self._study))
        self._require_some_success()
    if best_trial(self._study) is None:
      last = finished_trials(self._study)[-1].user_attrs
      message, code = last.get(FAILURE, "it was pruned"), last.get(EXIT_CODE, 6)
      raise _search_failed(f"no trial came to its end; the last: {message}", code)
    return self._study

  def _run_one(self, position: int) -> None:
    trial = next_trial(self._study, self._job.space)
    values = draw(trial, self._job.space)
    folder = os.path.join(self._job.output_dir, TRIALS_FOLDER, str(position))
    started, value = time.monotonic(), None
    try:
      value = self._run_trial(self._prepared(folder, values, position), self._judge(trial))
    except (TrialFailed, ConfigError) as error:
      failure = TrialFailed(str(error).replace(folder, "SAVE_DIR"), error.exit_code)
      self._failures.append(failure)
      trial.set_user_attr(EXIT_CODE, failure.exit_code)
      trial.set_user_attr(FAILURE, str(failure))
      state = optuna.trial.TrialState.FAIL
    else:
      states = optuna.trial.TrialState
      state = states.PRUNED if value is None else states.COMPLETE
    with preemption.held():
      trial.set_user_attr(SECONDS, round(time.monotonic() - started, 1))
      self._study.tell(trial, value, state)
      if not self._job.keep_trials:
        _clean(folder, keep_some=state == optuna.trial.TrialState.FAIL)

  def _prepared(self, folder: str, values: dict[str, Any], position: int) -> Trial:
    """Writes the trial's configuration; what an interrupted process left of this trial stays."""
    path = os.path.join(folder, _TRIAL_FILE)
    changes = (*self._job.overrides, *overrides_of(self._job.space, values))
    earlier = _content(path)
    config = write_trial_config(
      path,
      self._job.config_path,
      (*changes, f"training.save_dir={as_yaml(folder)}"),
      f"Trial {position} of a search; docs/tuning.md.",
    )
    if earlier is not None and earlier != _content(path):
      _clean(folder, keep_some=True)  # Of other values, by another version of Optuna say.
    rungs = rungs_of(self._job.space, config.training.num_train_steps)
    return Trial(path, folder, self._job.space.objective, rungs)

  def _judge(self, trial: optuna.Trial) -> Callable[[int, float], bool]:
    def goes_on(step: int, value: float) -> bool:
      trial.report(value, step)
      return not trial.should_prune()

    return goes_on

  def _require_some_success(self) -> None:
    """Ends a search in which the first trials of this process all failed in the same way."""
    alike = len(self._failures) == _MOST_ALIKE and len(set(map(str, self._failures))) == 1
    if alike and all(FAILURE in trial.user_attrs for trial in finished_trials(self._study)):
      raise _search_failed(
        f"the first {_MOST_ALIKE} trials failed in the same way: {self._failures[0]}",
        self._failures[0].exit_code,
      )


def _clean(folder: str, keep_some: bool) -> None:
  """Removes a trial's folder, or all of it but what the trial printed and its configuration."""
  if not keep_some:
    shutil.rmtree(folder, ignore_errors=True)
    return
  for entry in os.scandir(folder) if os.path.isdir(folder) else ():
    if entry.is_dir(follow_symlinks=False):
      shutil.rmtree(entry.path, ignore_errors=True)
    elif entry.name not in (OUTPUT_FILE, _TRIAL_FILE):
      os.remove(entry.path)


def _content(path: str) -> Optional[str]:
  try:
    with open(path, encoding="utf-8") as file:
      return file.read()
  except OSError:
    return None


def _search_failed(message: str, exit_code: int) -> UserError:
  error = TrainingError(message)
  error.exit_code = exit_code
  return error

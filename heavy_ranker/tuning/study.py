"""The study: what Optuna remembers of a search, in a file that grows line by line."""

import json
import os
from typing import Any, Optional

import optuna

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.objective import direction_of
from heavy_ranker.tuning.search_space import Parameter, SearchSpace
from tfrecords.errors import ConfigError, StorageError

STUDY_FILE = "study.journal"
_NAME = "search"
_DEFINITION = "definition"

# Of a trial: why it failed, and what it took. A failed one without a reason was interrupted.
FAILURE, EXIT_CODE, SECONDS = "failure", "exit_code", "seconds"


def definition(space: SearchSpace, config: HeavyRankerConfig) -> dict[str, Any]:
  """Returns what trials depend on, as plain data: they can be compared while this is the same."""
  return {
    "space": json.loads(space.model_dump_json(exclude={"n_trials"}, exclude_none=True)),
    "configuration": json.loads(
      config.model_dump_json(exclude={"training": {"save_dir"}}, exclude_none=True)
    ),
  }


def open_study(folder: str, space: SearchSpace, config: HeavyRankerConfig) -> optuna.Study:
  """Returns the study in a folder, a new one if there is none.

  A trial that was under way when its process died no longer is: it counts for nothing.

  Raises:
    ConfigError: the study there is of another space or configuration.
    StorageError: the folder holds something else, or the study cannot be read.
  """
  optuna.logging.set_verbosity(optuna.logging.ERROR)
  path = os.path.join(folder, STUDY_FILE)
  _require_own(folder)
  try:
    _drop_torn_line(path)
    backend = optuna.storages.journal.JournalFileBackend(path)
    study = optuna.create_study(
      storage=optuna.storages.JournalStorage(backend),
      study_name=_NAME,
      direction=direction_of(space.objective),
      load_if_exists=True,
    )
  except (OSError, ValueError, KeyError) as error:
    raise StorageError(
      f"{path}: the study cannot be read: {error}. Put back a copy, or choose another --output_dir"
    ) from None
  wanted = definition(space, config)
  found = study.user_attrs.get(_DEFINITION)
  if found is None:
    study.set_user_attr(_DEFINITION, wanted)
  elif found != wanted:
    raise ConfigError(
      f"{path}: the search there has other settings:\n  "
      + "\n  ".join(differences(found, wanted))
      + "\nUse those, or another --output_dir"
    )
  for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
    study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
  return study


def _require_own(folder: str) -> None:
  names = [name for name in os.listdir(folder) if not name.startswith(".")]
  if names and STUDY_FILE not in names:
    raise StorageError(
      f"--output_dir: {folder} holds something else ({', '.join(sorted(names)[:3])}), allowed: a "
      "search of this command, or a folder that is empty or does not exist"
    )


def _drop_torn_line(path: str) -> None:
  """Removes what a process that was killed left of its last line."""
  if not os.path.exists(path):
    return
  with open(path, "rb+") as file:
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)


def differences(found: Any, wanted: Any, path: str = "") -> list[str]:
  """Returns a line for each place in which plain data differs."""
  if found == wanted:
    return []
  if isinstance(found, dict) and isinstance(wanted, dict):
    return [
      line
      for key in [*found, *(key for key in wanted if key not in found)]
      for line in differences(found.get(key), wanted.get(key), f"{path}.{key}" if path else key)
    ]
  shown = ["nothing" if value is None else json.dumps(value) for value in (found, wanted)]
  return [f"{path}: {shown[0]} there, {shown[1]} here"]


def finished_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
  """Returns the trials that are through, by whatever end, in order; no interrupted ones."""
  return [
    trial
    for trial in study.get_trials(deepcopy=False)
    if trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    or FAILURE in trial.user_attrs
  ]


def next_trial(study: optuna.Study, space: SearchSpace) -> optuna.Trial:
  """Begins a trial.

  Each draws with a seed of its own, made of the search's and of how many are finished: a search
  that was interrupted draws what it would have drawn without.
  """
  section, position = space.sampler, len(finished_trials(study))
  seed = (section.seed * 1_000_003 + position) % 2**32
  if section.kind == "random":
    study.sampler = optuna.samplers.RandomSampler(seed=seed)
  else:
    study.sampler = optuna.samplers.TPESampler(
      seed=seed, n_startup_trials=section.n_startup_trials, multivariate=False
    )
  return study.ask()


def draw(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
  """Returns a value for each parameter, by name."""
  return {
    name: parameter.value_of(_draw(trial, name, parameter))
    for name, parameter in space.parameters.items()
  }


def values_of(trial: optuna.trial.FrozenTrial, space: SearchSpace) -> dict[str, Any]:
  """Returns what `draw` has returned for a trial."""
  parameters = space.parameters.items()
  return {name: parameter.value_of(trial.params[name]) for name, parameter in parameters}


def _draw(trial: optuna.Trial, name: str, parameter: Parameter) -> Any:
  if parameter.choices is not None:
    return trial.suggest_categorical(name, parameter.labels)
  low, high = parameter.low, parameter.high
  if parameter.integer:
    step = 1 if parameter.log else int(parameter.step or 1)
    return trial.suggest_int(name, int(low), int(high), step=step, log=parameter.log)
  return trial.suggest_float(name, low, high, step=parameter.step, log=parameter.log)


def make_pruner(space: SearchSpace, rungs: list[int]) -> optuna.pruners.BasePruner:
  """Returns what decides at the rungs which trials end."""
  section = space.pruner
  if section is None or not rungs:
    return optuna.pruners.NopPruner()
  if section.median is not None:
    return optuna.pruners.MedianPruner(n_startup_trials=section.median.n_startup_trials)
  halving = section.successive_halving
  return optuna.pruners.SuccessiveHalvingPruner(
    min_resource=rungs[0], reduction_factor=halving.reduction_factor
  )


def rungs_of(space: SearchSpace, num_train_steps: int) -> list[int]:
  """Returns the steps before the last after which trials are measured, ascending."""
  section = space.pruner
  if section is None:
    return []
  if section.median is not None:
    steps = {round(share * num_train_steps) for share in section.median.rungs}
    return sorted(step for step in steps if 0 < step < num_train_steps)
  halving = section.successive_halving
  factor = halving.reduction_factor
  count = halving.num_rungs
  while count and factor**count > num_train_steps:
    count -= 1
  first = num_train_steps // factor**count
  return [first * factor**rung for rung in range(count) if first * factor**rung < num_train_steps]


def best_trial(study: optuna.Study) -> Optional[optuna.trial.FrozenTrial]:
  """Returns the best of the complete trials, the first of equals; None without any."""
  complete = [trial for trial in finished_trials(study) if is_complete(trial)]
  sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
  return min(complete, key=lambda trial: sign * trial.value, default=None)


def is_complete(trial: optuna.trial.FrozenTrial) -> bool:
  """Tells whether a trial went all the way."""
  return trial.state == optuna.trial.TrialState.COMPLETE

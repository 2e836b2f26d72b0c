"""The configurations to compare: found, checked, and brought to the same number of steps."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Optional

from heavy_ranker.config import HeavyRankerConfig, load_config
from tfrecords import paths
from tfrecords.errors import ConfigError

DEFAULT_CONFIGS = "configs/architectures/*.yaml"
PARTITION = "validation"


@dataclass(frozen=True)
class Candidate:
  """One architecture to measure.

  Attributes:
    name: the configuration file's name without its ending.
    path: the configuration file.
    overrides: "dotted.key=yaml value" strings that go with it.
    config: the two of them, loaded.
  """

  name: str
  path: str
  overrides: tuple[str, ...]
  config: HeavyRankerConfig


def find(
  globs: Optional[Sequence[str]],
  overrides: Sequence[str] = (),
  num_train_steps: Optional[int] = None,
) -> list[Candidate]:
  """Returns the configurations that globs match, sorted by name.

  Args:
    globs: paths with wildcards; all of `configs/architectures` when None.
    overrides: made to each configuration.
    num_train_steps: trains each for so many steps, with a cosine schedule that ends there.

  Raises:
    ConfigError: nothing matches, a file cannot be used, or the files are not comparable: two of
      one name or folder, different data.
  """
  candidates = []
  for path in _matching(globs):
    config = load_config(path, overrides)
    every = (*overrides, *_step_overrides(config, num_train_steps))
    name = os.path.splitext(os.path.basename(path))[0]
    candidates.append(Candidate(name, path, every, load_config(path, every)))
  _check_comparable(candidates)
  return candidates


def _matching(globs: Optional[Sequence[str]]) -> list[str]:
  if globs is None:
    globs = [os.path.join(paths.workspace_directory(), DEFAULT_CONFIGS)]
  found: set[str] = set()
  for pattern in globs:
    matching = glob.glob(paths.resolve(pattern, "--configs"))
    if not matching:
      raise ConfigError(f"--configs: no file matches {pattern!r}, allowed: globs of YAML files")
    found.update(matching)
  if not found:
    raise ConfigError("--configs: found nothing, allowed: globs of YAML files")
  return sorted(found, key=os.path.basename)


def _step_overrides(config: HeavyRankerConfig, num_train_steps: Optional[int]) -> Iterable[str]:
  """Returns overrides that change the number of steps, and the schedule in proportion."""
  if num_train_steps is None:
    return
  yield f"training.num_train_steps={num_train_steps}"
  rates = config.optimizer.single_task_learning_rate
  cosine = rates and rates.linear_ramp_to_cosine
  if cosine:
    ramp = max(1, round(cosine.num_ramp_steps * num_train_steps / cosine.final_num_steps))
    key = "optimizer.single_task_learning_rate.linear_ramp_to_cosine"
    yield f"{key}.num_ramp_steps={ramp}"
    yield f"{key}.final_num_steps={max(num_train_steps, ramp + 1)}"


def _check_comparable(candidates: Sequence[Candidate]) -> None:
  first = candidates[0]
  names: dict[str, str] = {}
  folders: dict[str, str] = {}
  for candidate in candidates:
    path, config = candidate.path, candidate.config
    folder = paths.resolve(config.training.save_dir, "training.save_dir")
    if "://" in folder:
      raise ConfigError(f"{path}: training.save_dir: found {folder}, allowed: a local folder")
    for known, value, what in (
      (names, candidate.name, "the name"),
      (folders, folder, "training.save_dir"),
    ):
      if value in known:
        raise ConfigError(
          f"{path}: {what} {value!r} is that of {known[value]}, allowed: one of its own"
        )
      known[value] = path
    if PARTITION not in config.validation_data:
      raise ConfigError(f"{path}: validation_data.{PARTITION}: found none, it is what is measured")
    for section in ("train_data", "validation_data"):
      if getattr(config, section) != getattr(first.config, section):
        raise ConfigError(
          f"{path}: {section} differs from that of {first.path}, allowed: the same, or else the "
          "figures cannot be compared"
        )
    if list(config.model.tasks) != list(first.config.model.tasks):
      raise ConfigError(f"{path}: model.tasks differs from that of {first.path}, allowed: the same")


def command_flags(candidate: Candidate) -> list[str]:
  """Returns the flags that make a command use a candidate's configuration."""
  sets = [flag for override in candidate.overrides for flag in ("--set", override)]
  return ["--config_path", candidate.path, *sets]

"""A trial's configuration: the base file, what the search sets, and a small file that says so."""

import os
from collections.abc import Mapping
from typing import Any

import yaml

from heavy_ranker.config import HeavyRankerConfig, load_config
from heavy_ranker.tuning.search_space import SearchSpace
from tfrecords import files
from tfrecords.config import yaml_file, yaml_text
from tfrecords.errors import ConfigError

# Where a file of the search cannot be written.
WAY_OUT = "Free space there, or choose another --output_dir"


def overrides_of(space: SearchSpace, values: Mapping[str, Any]) -> list[str]:
  """Returns what the values of parameters mean as "dotted.key=yaml value" overrides.

  A key comes before those inside of it, whatever their order in the file.
  """
  pairs = [(key, value) for name, value in values.items() for key in space.keys_of(name)]
  return [f"{key}={as_yaml(value)}" for key, value in sorted(pairs, key=lambda pair: len(pair[0]))]


def as_yaml(value: Any) -> str:
  """Returns a value as YAML in one line."""
  text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
  return text.removesuffix("\n").removesuffix("\n...")


def check_space(
  space: SearchSpace, space_path: str, config_path: str, overrides: tuple[str, ...]
) -> HeavyRankerConfig:
  """Tries the base configuration, with each choice and both ends of each range on its own.

  What only a combination of values makes impossible shows in its trial.

  Returns:
    The base configuration.

  Raises:
    ConfigError: the base cannot be used, or a value, or the objective; names the parameter.
  """
  config = load_config(config_path, overrides)
  mistake = config.objective_mistake(space.objective)
  if mistake is not None:
    raise ConfigError(f"{space_path}: objective.{mistake}")
  for name, parameter in space.parameters.items():
    for value in parameter.extremes:
      try:
        load_config(config_path, (*overrides, *overrides_of(space, {name: value})))
      except ConfigError as error:
        raise ConfigError(f"{space_path}: parameters.{name}: {as_yaml(value)}: {error}") from None
  return config


def write_trial_config(
  path: str, config_path: str, overrides: tuple[str, ...], comment: str
) -> HeavyRankerConfig:
  """Writes a configuration file that extends another one, in one step.

  Args:
    path: the file to write.
    config_path: the file that it extends.
    overrides: "dotted.key=yaml value": what it changes.
    comment: its first lines.

  Returns:
    The configuration that the file means.

  Raises:
    ConfigError: the configuration cannot be used; nothing is written.
    StorageError: the file cannot be written.
  """
  config = load_config(config_path, overrides)
  base, content = yaml_file.read(config_path), yaml_file.read(config_path, overrides)
  changes = {"extends": os.path.abspath(config_path), **difference(base, content)}
  lines = "".join(f"# {line}\n" for line in comment.splitlines())
  text = f"{lines}{yaml_text.text_of(changes)}".replace("$", "$$")
  files.write(path, text, WAY_OUT, makes_folder=True)
  return config


def difference(base: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what `tfrecords.config.merge_patch.merge` makes `content` of `base` with."""
  changes: dict[str, Any] = {}
  for key in [*base, *(key for key in content if key not in base)]:
    old, new = base.get(key), content.get(key)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
      inner = difference(old, new)
      if inner:
        changes[key] = inner
    elif old != new or type(old) is not type(new):
      changes[key] = new
  return changes

"""Variants of a configuration that lack one ingredient each, several seeds of every one."""

import os
from collections.abc import Sequence

from benchmarks.candidates import Candidate
from heavy_ranker.config import HeavyRankerConfig, load_config
from tfrecords import paths
from tfrecords.errors import ConfigError

FULL = "all of it"
_FITTED = "model.featurization_config.fitted_log_config"


def ablations(config: HeavyRankerConfig) -> dict[str, tuple[str, ...]]:
  """Returns the overrides that take one ingredient out of `configs/kuairand.yaml`, by name.

  Args:
    config: the configuration with all ingredients.

  Raises:
    ConfigError: it lacks one of them already.
  """
  wide, fitted = config.model.wide_config, config.model.featurization_config.fitted_log_config
  if wide is None or fitted is None or config.model.backbone is None:
    raise ConfigError(
      "--ablations: the configuration lacks model.wide_config, a backbone or "
      "featurization_config.fitted_log_config, allowed: one that has what is to be left out"
    )
  tables = range(len(wide.tables))

  return {
    "without rates": (f"{_FITTED}.rates=[]",),
    "without pieces": (f"{_FITTED}.pieces=0",),
    "with the counts that grow": (f"{_FITTED}.leave_out=[]",),
    "double_norm_log in place of fitted_log": (
      "model.featurization_config={double_norm_log_config: {batch_norm_config: {}, "
      "layer_norm_config: {}}}",
    ),
    "without categories and ids": ("model.wide_config.tables=[]",),
    "without the wide part": ("model.wide_config=null",),
    "without the deep part": ("model.backbone={mlp_config: {layer_sizes: [1]}}",),
    "without l2": (
      "model.wide_config.l2=0",
      "model.backbone.l2=0",
      *(f"model.wide_config.tables.{index}.l2=0" for index in tables),
      *(f"model.tasks.{task}.l2=0" for task in config.model.tasks),
    ),
  }


def variants(
  path: str, data_dir: str, seeds: int, overrides: Sequence[str] = (), with_ablations: bool = False
) -> dict[str, list[Candidate]]:
  """Returns what to train: name -> a candidate a seed; the configuration itself comes first.

  Args:
    path: the configuration file.
    data_dir: a folder that //tfrecords:ingest wrote: train, choose, validation, schema.json.
    seeds: how many of each, from 0 on; a seed decides initial weights and the order of the data.
    overrides: made to every one.
    with_ablations: with those that lack an ingredient.

  Raises:
    ConfigError: the file cannot be used, or lacks what an ablation takes away.
  """
  folder = paths.resolve(data_dir, "--data_dir")
  base = (*_data_overrides(load_config(path), folder), *overrides)
  config = load_config(path, base)
  named = {FULL: (), **(ablations(config) if with_ablations else {})}
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  return {
    name: [_candidate(name, path, (*base, *more), save_dir, seed) for seed in range(seeds)]
    for name, more in named.items()
  }


def _data_overrides(config: HeavyRankerConfig, folder: str) -> list[str]:
  sections = {"train_data": "train"}
  sections.update({f"validation_data.{name}": name for name in config.validation_data})
  found = []
  for section, name in sections.items():
    found.append(f"{section}.inputs={os.path.join(folder, name)}/*.tfrecord.gz")
    found.append(f"{section}.seg_dense_schema.schema_path={os.path.join(folder, 'schema.json')}")
  return found


def _candidate(
  name: str, path: str, overrides: tuple[str, ...], save_dir: str, seed: int
) -> Candidate:
  own = os.path.join(save_dir, name.replace(" ", "_"), f"seed_{seed}")
  every = (
    *overrides,
    f"training.save_dir={own}",
    f"training.seed={seed}",
    f"train_data.shuffle_seed={seed}",
  )
  return Candidate(f"{name}, seed {seed}", path, every, load_config(path, every))

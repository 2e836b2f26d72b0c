"""Writes a checkpoint as a versioned SavedModel: the whole version or nothing."""

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Optional

import tensorflow as tf

from heavy_ranker.best_checkpoint import chosen_checkpoint
from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.calibration.curves import FittedCalibration
from heavy_ranker.checkpoints import restore_weights, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.model import build_model
from heavy_ranker.serving import unfinished_exports
from heavy_ranker.serving.export_files import (
  ORIGIN_FILE,
  PRECISION_FILE,
  SCORE_FILE,
  default_export_dir,
)
from heavy_ranker.serving.export_origin import origin_of
from heavy_ranker.serving.folded_batch_norm import fold_batch_norms
from heavy_ranker.serving.precision_check import lower_precision
from heavy_ranker.serving.signatures import ServingModule
from heavy_ranker.serving.warmup import write_warmup_requests
from tfrecords import paths
from tfrecords.errors import ConfigError, StorageError, reason
from tfrecords.files import names_in
from tfrecords.folders import make_writable, publish


def export(
  config: HeavyRankerConfig,
  checkpoint: Optional[str] = None,
  export_dir: Optional[str] = None,
  version: Optional[int] = None,
) -> str:
  """Exports a checkpoint with the signatures `serving_default`, `score_examples` and `rank`.

  Other score weights need no training: export the same checkpoint again with another `score`.

  Args:
    config: the whole configuration.
    checkpoint: the checkpoint; see `heavy_ranker.best_checkpoint` when None.
    export_dir: folder of the versions; saved_models/heavy_ranker of the checkout when None.
    version: the version's number; one above the largest there is when None.

  Returns:
    The version's folder, EXPORT_DIR/VERSION.

  Raises:
    CheckpointError: there is no checkpoint, or it is of another architecture.
    StorageError: the version exists, or the folder cannot be written.
    PrecisionError: `export.precision` changes the scores too much; DataError: it cannot be told.
  """
  check_config(config, with_partitions=config.export.is_compared)
  path = chosen_checkpoint(config, checkpoint)
  base = prepare_export_dir(export_dir)
  target = os.path.join(base, str(_choose_version(base, version)))
  if tf.io.gfile.exists(target):
    raise StorageError(
      f"{target}: this version exists already, and exports never change. Leave --version out for "
      "the next free number, or name another"
    )
  calibration = applied_calibration(config, path)
  ranker = build_model(config, weights_follow=True, calibration=calibration)
  restore_weights(ranker, path)
  ranker = fold_batch_norms(config, ranker, calibration)
  texts = {
    SCORE_FILE: _describe_score(config, step_of(path), calibration),
    ORIGIN_FILE: json.dumps({"fingerprint": origin_of(config, path), "checkpoint": path}) + "\n",
  }
  if config.export.precision != "float32":
    ranker, texts[PRECISION_FILE] = lower_precision(config, ranker)
  _write(config, ServingModule(config, ranker), texts, target)
  return target


def prepare_export_dir(export_dir: Optional[str] = None) -> str:
  """Returns the absolute folder of the versions, made, found writable, and without leftovers.

  Args:
    export_dir: the folder; saved_models/heavy_ranker of the checkout when None.

  Raises:
    StorageError: it cannot be made or written.
  """
  base = make_writable(export_dir or default_export_dir(), "--export_dir")
  unfinished_exports.remove_abandoned(base)
  return base


def _choose_version(base: str, version: Optional[int]) -> int:
  if version is not None:
    if version < 1:
      raise ConfigError(f"--version: found {version}, allowed: 1 or more")
    return version
  versions = [int(name) for name in names_in(base) if name.isdecimal()]
  return max(versions, default=0) + 1


def _write(
  config: HeavyRankerConfig, module: ServingModule, texts: Mapping[str, str], target: str
) -> None:
  """Writes under a name no server takes for a version, then gives it its own.

  For an object store it is written on this machine: TensorFlow reads what it has just written.
  """
  folder = tempfile.gettempdir() if paths.is_remote(target) else os.path.dirname(target)
  try:
    with unfinished_exports.writing(folder) as unfinished:
      tf.saved_model.save(module, unfinished, signatures=module.functions())
      for name, text in texts.items():
        _write_text(os.path.join(unfinished, name), text)
      write_warmup_requests(config, module, unfinished)
      publish(unfinished, target, last="saved_model.pb")
  except (tf.errors.OpError, OSError) as error:
    raise StorageError(f"{target}: the export cannot be written: {reason(error)}") from None


def _write_text(path: str, text: str) -> None:
  tf.io.gfile.makedirs(os.path.dirname(path))
  with tf.io.gfile.GFile(path, "w") as file:
    file.write(text)


def _describe_score(
  config: HeavyRankerConfig, step: int, calibration: Optional[FittedCalibration]
) -> str:
  """Returns the score's recipe as JSON, with the tasks in the order of `probabilities`."""
  tasks = list(config.model.tasks)
  recipe = {
    "score": "sum of weight * probability; of each group in only_largest_of, only the largest "
    "probability counts",
    "weights": {task: config.score.weight_of(task) for task in tasks},
    "only_largest_of": [
      [task for task in group if task in tasks] for group in config.score.only_largest_of
    ],
    "negative_squash_epsilon": config.score.negative_squash_epsilon,
    "calibration": {task: calibration.curves[task].method for task in tasks}
    if calibration is not None
    else None,
    "trained_steps": step,
  }
  return json.dumps(recipe, indent=2) + "\n"

"""Fits the calibration of a checkpoint to a held-out partition and stores it beside it."""

from dataclasses import dataclass
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.best_checkpoint import chosen_checkpoint
from heavy_ranker.calibration.curves import (
  CalibrationCurve,
  FittedCalibration,
  calibration_path,
  write_calibration,
)
from heavy_ranker.calibration.fitting import fit_curve
from heavy_ranker.calibration.sampling import sampling_offsets, sampling_ratios
from heavy_ranker.checkpoints import restore_weights, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.features import input_names, schema_widths
from heavy_ranker.model import build_model
from tfrecords import paths
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.progress import progress_bar


@dataclass(frozen=True)
class HeldOutTask:
  """One task's held-out examples.

  Attributes:
    logits: with the sampling undone, float32 [n].
    labels: 0 or 1, float32 [n].
    weights: weight of each example, float32 [n].
  """

  logits: np.ndarray
  labels: np.ndarray
  weights: np.ndarray


@dataclass(frozen=True)
class CalibrationResult:
  """What `calibrate` found.

  Attributes:
    path: the file that evaluation and export of this checkpoint will read.
    calibration: what is in it.
    examples: the held-out examples by task; only those of the tasks the partition measures.
  """

  path: str
  calibration: FittedCalibration
  examples: dict[str, HeldOutTask]


def calibrate(config: HeavyRankerConfig, checkpoint: Optional[str] = None) -> CalibrationResult:
  """Fits each task's curve and writes SAVE_DIR/calibration/step-N.json.

  Args:
    config: the whole configuration; `calibration` says how and on which partition, and
      `training.num_eval_steps` how many of its batches are read (all when below 0).
    checkpoint: the checkpoint; see `heavy_ranker.best_checkpoint` when None.

  Raises:
    UserError: configuration, data or checkpoint cannot be used.
  """
  check_config(config)
  name = held_out_partition(config)
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  found = chosen_checkpoint(config, checkpoint)
  partition = config.validation_data[name]
  measured = list(partition.evaluation_tasks or config.model.tasks)
  inputs = input_names(config, schema_widths(config))
  pipeline = InputPipeline(partition, "evaluate", inputs, measured, f"validation_data.{name}")
  examples = _predict(config, found, pipeline, measured)
  tasks = list(config.model.tasks)
  section = config.calibration
  curves = {}
  for task in tasks:
    if task not in examples:
      curves[task] = CalibrationCurve("none", note=f"not measured by the partition {name}")
      continue
    held_out = examples[task]
    method = section.methods.get(task, section.method)
    curves[task] = fit_curve(method, held_out.logits, held_out.labels, held_out.weights)
  ratios = dict(zip(tasks, sampling_ratios(config.train_data, tasks)))
  calibration = FittedCalibration(curves, ratios, name)
  path = calibration_path(save_dir, step_of(found))
  write_calibration(calibration, path)
  return CalibrationResult(path, calibration, examples)


def held_out_partition(config: HeavyRankerConfig) -> str:
  """Returns the partition of `validation_data` that calibration is fitted to.

  Raises:
    ConfigError: there is none, or several and none is named.
  """
  names, name = list(config.validation_data), config.calibration.partition
  if not names:
    raise ConfigError("validation_data: found no partition, allowed: one to fit calibration to")
  if name is None and len(names) > 1:
    raise ConfigError(
      f"calibration.partition: found none, allowed: one of {', '.join(names)}, such as "
      f"--set calibration.partition={names[0]}"
    )
  if name is not None and name not in names:
    raise ConfigError(
      f"calibration.partition: found {name!r}{did_you_mean(name, names)}; allowed: one of "
      f"{', '.join(names)}"
    )
  return name or names[0]


def _predict(
  config: HeavyRankerConfig, checkpoint: str, pipeline: InputPipeline, measured: list[str]
) -> dict[str, HeldOutTask]:
  tasks = list(config.model.tasks)
  ranker = build_model(config, weights_follow=True)
  restore_weights(ranker, checkpoint)
  predict = tf.function(lambda features: ranker(features)["logits"], autograph=False)
  offsets = sampling_offsets(sampling_ratios(config.train_data, tasks))
  num_steps = config.training.num_eval_steps
  dataset = pipeline.dataset if num_steps < 0 else pipeline.dataset.take(num_steps)
  parts = []
  total = num_steps if num_steps >= 0 else None
  with pipeline.explained(), progress_bar(total, "calibrating", unit="batch") as bar:
    for features, labels, weights in dataset:
      columns = [[of[task].numpy() for task in measured] for of in (labels, weights)]
      parts.append((predict(features).numpy() + offsets, *map(np.stack, columns)))
      bar.update(1)
  if not parts:
    raise DataError("calibration: the partition holds no record, allowed: at least one")
  logits, labels, weights = zip(*parts)
  logits = np.concatenate(logits)
  labels, weights = np.concatenate(labels, axis=1), np.concatenate(weights, axis=1)
  return {
    task: HeldOutTask(logits[:, tasks.index(task)], labels[row], weights[row])
    for row, task in enumerate(measured)
  }

"""Metrics of a checkpoint on every partition of `validation_data`."""

import json
import math
import os
from collections.abc import Mapping
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.checkpoints import require_checkpoint, restore_weights, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.evaluation import metrics
from heavy_ranker.features import input_names, schema_widths
from heavy_ranker.model import build_model
from tfrecords import paths
from tfrecords.config.data import DataConfig
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.progress import progress_bar

# partition -> task -> metric -> value
Metrics = dict[str, dict[str, dict[str, float]]]


def evaluate(config: HeavyRankerConfig, checkpoint: Optional[str] = None) -> Metrics:
  """Measures a checkpoint and writes the result beside it, as `evaluation/step-N.json`.

  Args:
    config: the whole configuration; `training.num_eval_steps` batches of each partition are
      read, all of them when it is below 0.
    checkpoint: the checkpoint; the newest of `training.save_dir` when None.

  Returns:
    partition -> task -> metric -> value, on the calibrated probabilities, weighted by the
    partition's own sampling rates; see `heavy_ranker.evaluation.metrics`.

  Raises:
    UserError: configuration, data or checkpoint cannot be used.
  """
  check_config(config)
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  path = require_checkpoint(save_dir, checkpoint)
  calibration = applied_calibration(config, path)
  ranker = build_model(config, weights_follow=True, calibration=calibration)
  restore_weights(ranker, path)
  results = {
    name: evaluate_partition(config, ranker, name, partition)
    for name, partition in config.validation_data.items()
  }
  _write(results, results_path(save_dir, step_of(path)))
  return results


def results_path(save_dir: str, step: int) -> str:
  """Returns where an evaluation's result lies."""
  return os.path.join(save_dir, "evaluation", f"step-{step}.json")


def evaluate_partition(
  config: HeavyRankerConfig, ranker: keras.Model, name: str, partition: DataConfig
) -> dict[str, dict[str, float]]:
  """Returns task -> metric -> value for one partition of `validation_data`."""
  tasks = list(config.model.tasks)
  measured = measured_tasks(config, partition)
  columns = _collect(config, ranker, open_partition(config, name, partition), name)
  positions = {task: tasks.index(task) for task in measured}
  return {
    task: metrics.evaluate_task(
      columns["probabilities"][:, positions[task]],
      columns["labels"][task],
      columns["weights"][task],
    )
    for task in measured
  }


def open_partition(config: HeavyRankerConfig, name: str, partition: DataConfig) -> InputPipeline:
  """Returns a partition's pipeline; finds out whether its files can be used, but reads none.

  Raises:
    ConfigError, DataError: the partition or its files cannot be used.
  """
  inputs = input_names(config, schema_widths(config))
  key = f"validation_data.{name}"
  return InputPipeline(partition, "evaluate", inputs, measured_tasks(config, partition), key)


def measured_tasks(config: HeavyRankerConfig, partition: DataConfig) -> list[str]:
  """Returns the tasks a partition measures: its `evaluation_tasks`, else all of the model's."""
  return list(partition.evaluation_tasks or config.model.tasks)


def _collect(
  config: HeavyRankerConfig, ranker: keras.Model, pipeline: InputPipeline, name: str
) -> dict:
  """Reads a partition and returns probabilities [n, tasks], labels and weights [n] by task."""
  num_steps = config.training.num_eval_steps
  dataset = pipeline.dataset if num_steps < 0 else pipeline.dataset.take(num_steps)
  predict = tf.function(
    lambda features: ranker(features)["calibrated_probabilities"], autograph=False
  )
  parts = []
  total = num_steps if num_steps >= 0 else None
  with pipeline.explained(), progress_bar(total, f"evaluating {name}", unit="batch") as bar:
    for features, labels, weights in dataset:
      parts.append((predict(features).numpy(), _to_numpy(labels), _to_numpy(weights)))
      bar.update(1)
  skipped = pipeline.skipped.summary() if pipeline.skipped is not None else None
  if skipped is not None and not parts:
    raise pipeline.skipped.nothing_left()
  if skipped is not None:
    print(skipped)
  if not parts:
    raise DataError(
      f"validation_data.{name}: nothing was read, allowed: at least one record in its files"
    )
  probabilities, labels, weights = zip(*parts)
  return {
    "probabilities": np.concatenate(probabilities),
    "labels": {task: np.concatenate([part[task] for part in labels]) for task in labels[0]},
    "weights": {task: np.concatenate([part[task] for part in weights]) for task in weights[0]},
  }


def _to_numpy(columns: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
  return {task: column.numpy() for task, column in columns.items()}


def _write(results: Metrics, path: str) -> None:
  """Writes JSON in one step; NaN, which JSON lacks, becomes null."""
  plain = {
    partition: {
      task: {name: value if math.isfinite(value) else None for name, value in values.items()}
      for task, values in tasks.items()
    }
    for partition, tasks in results.items()
  }
  tf.io.gfile.makedirs(os.path.dirname(path))
  with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
    file.write(json.dumps(plain, indent=2) + "\n")
  tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)

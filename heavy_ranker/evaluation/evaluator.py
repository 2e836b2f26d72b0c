"""Metrics of a checkpoint on every partition of `validation_data`."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker import preemption
from heavy_ranker.best_checkpoint import chosen_checkpoint
from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.calibration.curves import FittedCalibration
from heavy_ranker.calibration.sampling import sampling_ratios
from heavy_ranker.checkpoints import restore_weights, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.baselines import LOGISTIC_REGRESSION
from heavy_ranker.config_check import check_config
from heavy_ranker.evaluation.baseline_training import trained_logistic_regression
from heavy_ranker.evaluation.baselines import Baseline, recorded_baselines
from heavy_ranker.evaluation.partition_reader import PREDICTIONS, PartitionReader
from heavy_ranker.evaluation.partition_result import PartitionResult
from heavy_ranker.evaluation.results_file import FORMAT_VERSION, results_path, write_result
from heavy_ranker.evaluation.summaries import write_summaries
from heavy_ranker.model import build_model
from tfrecords import paths
from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError

# partition -> task -> metric -> value
Metrics = dict[str, dict[str, dict[str, float]]]


def evaluate(config: HeavyRankerConfig, checkpoint: Optional[str] = None) -> Metrics:
  """Measures a checkpoint and writes the result beside it, as `evaluation/step-N.json`.

  Args:
    config: the whole configuration; `training.num_eval_steps` batches of each partition are
      read, all of them when it is below 0.
    checkpoint: the checkpoint; see `heavy_ranker.best_checkpoint` when None.

  Returns:
    partition -> task -> metric -> value (NaN where undefined), on the calibrated probabilities,
    weighted by the partition's own sampling rates; docs/evaluation.md defines each metric. The
    file holds more: confidence intervals, curves, metrics of the score, strata.

  Raises:
    UserError: configuration, data or checkpoint cannot be used.
  """
  return metrics_of(Evaluator(config).run(checkpoint))


def metrics_of(result: dict[str, Any]) -> Metrics:
  """Returns partition -> task -> metric -> value of a result."""
  return {
    name: {task: dict(content["metrics"]) for task, content in partition["tasks"].items()}
    for name, partition in result["partitions"].items()
  }


class Evaluator:
  """Measures checkpoints; model and partitions are set up once.

  Args:
    config: the whole configuration.
    baselines: predictors to measure beside the model, besides `always_mean` and those of
      `evaluation.baselines`.
    writes_report: draws report.html anew after each, which takes longer than to measure a small
      model.

  Raises:
    UserError: the configuration or the data cannot be used.
  """

  def __init__(
    self,
    config: HeavyRankerConfig,
    baselines: Sequence[Baseline] = (),
    writes_report: bool = True,
  ):
    check_config(config)
    if not config.validation_data:
      raise ConfigError(
        "validation_data: found no partition, allowed: at least one, a section like train_data "
        "under a name"
      )
    self._config, self._baselines = config, tuple(baselines)
    self._writes_report = writes_report
    self._save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
    self._ranker: Optional[keras.Model] = None
    self._calibration: Optional[FittedCalibration] = None
    self._readers: dict[str, PartitionReader] = {}

  def run(self, checkpoint: Optional[str] = None) -> dict[str, Any]:
    """Measures a checkpoint, writes everything that comes of it, and returns the result.

    Args:
      checkpoint: the checkpoint; see `heavy_ranker.best_checkpoint` when None.

    Raises:
      UserError: data or checkpoint cannot be used, or nothing can be written.
    """
    path = chosen_checkpoint(self._config, checkpoint)
    step = step_of(path)
    self.set_up(applied_calibration(self._config, path))
    started = time.monotonic()
    restore_weights(self._ranker, path)
    ranker = self._ranker
    predict = tf.function(lambda features: _predictions(ranker, features), autograph=False)
    partitions = {
      name: PartitionResult(reader.read(predict, path, self._is_calibrated)).as_dict(
        reader.is_complete
      )
      for name, reader in self._readers.items()
    }
    result = {
      "format_version": FORMAT_VERSION,
      "step": step,
      "checkpoint": path,
      "seconds": time.monotonic() - started,
      "tasks": list(self._config.model.tasks),
      "score": _score_section(self._config),
      "partitions": partitions,
    }
    with preemption.held():
      write_result(result, results_path(self._save_dir, step))
      write_summaries(result, self._save_dir)
      if self._writes_report:
        # Plots take long to import, and training, which ends here, is to begin soon.
        from heavy_ranker.evaluation.report import write_report

        write_report(self._save_dir)
    return result

  def set_up(self, calibration: Optional[FittedCalibration] = None) -> None:
    """Builds the model, trains baselines, opens every partition, unless that is done already.

    Args:
      calibration: what belongs to the checkpoint that is measured next.

    Raises:
      UserError: the configuration or the data cannot be used.
    """
    if self._ranker is None or calibration != self._calibration:
      self._ranker = build_model(self._config, weights_follow=True, calibration=calibration)
      self._calibration = calibration
    if not self._readers:
      # Whether the partitions can be used shows before a baseline is trained for them.
      for name, partition in self._config.validation_data.items():
        open_partition(self._config, name, partition)
      baselines = [*self._configured_baselines(), *self._baselines]
      self._readers = {
        name: PartitionReader(self._config, name, partition, baselines)
        for name, partition in self._config.validation_data.items()
      }

  def _configured_baselines(self) -> list[Baseline]:
    found = recorded_baselines(self._config)
    names = self._config.evaluation.baselines
    if LOGISTIC_REGRESSION in names:
      found[LOGISTIC_REGRESSION] = trained_logistic_regression(self._config)
    return [found[name] for name in names]

  @property
  def _is_calibrated(self) -> bool:
    ratios = sampling_ratios(self._config.train_data, list(self._config.model.tasks))
    return self._calibration is not None or any(ratio != 1.0 for ratio in ratios)


def open_partition(config: HeavyRankerConfig, name: str, partition: DataConfig) -> PartitionReader:
  """Finds out whether a partition can be used and measured; reads a batch of it at most.

  Raises:
    ConfigError, DataError: the partition or its files cannot be used.
  """
  reader = PartitionReader(config, name, partition, list(recorded_baselines(config).values()))
  reader.check_recorded()
  return reader


def _predictions(ranker: keras.Model, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  # Keras warns of features that the model does not take, such as the user's id.
  outputs = ranker({name: features[name] for name in ranker.input})
  return {name: outputs[name] for name in PREDICTIONS}


def _score_section(config: HeavyRankerConfig) -> dict[str, Any]:
  tasks, section = list(config.model.tasks), config.score
  groups = [[task for task in group if task in tasks] for group in section.only_largest_of]
  return {
    "weights": {task: section.weight_of(task) for task in tasks},
    "only_largest_of": [group for group in groups if group],
    "negative_squash_epsilon": section.negative_squash_epsilon,
  }

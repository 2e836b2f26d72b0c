"""Reads a partition of `validation_data` through the model into a `PartitionMeter`."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.evaluation import METRIC_NAMES
from heavy_ranker.evaluation.baselines import Baseline
from heavy_ranker.evaluation.partition_meter import MeasuredBatch, PartitionMeter, Subject
from heavy_ranker.evaluation.strata import FEATURE, Strata
from heavy_ranker.evaluation.users import user_ids, why_no_users
from heavy_ranker.features import input_names, schema_widths
from tfrecords import preprocessing, schema
from tfrecords.config.data import DataConfig
from tfrecords.errors import CheckpointError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.progress import progress_bar
from tfrecords.schema import Feature

PREDICTIONS = ("probabilities", "calibrated_probabilities", "score")
# Features of a batch -> PREDICTIONS, see `heavy_ranker.model.build_model`.
Predict = Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]


class PartitionReader:
  """One partition, checked before anything is read.

  Args:
    config: the whole configuration.
    name: the partition's name.
    partition: its section.
    baselines: predictors to measure beside the model.

  Attributes:
    is_complete: whether the last reading reached the end of the data.

  Raises:
    ConfigError, DataError: the partition or its files cannot be used.
  """

  def __init__(
    self,
    config: HeavyRankerConfig,
    name: str,
    partition: DataConfig,
    baselines: Sequence[Baseline] = (),
  ):
    self._config, self._name, self._partition = config, name, partition
    self._baselines = tuple(baselines)
    self._tasks = tuple(partition.evaluation_tasks or config.model.tasks)
    key = f"validation_data.{name}"
    features = _features(partition, key)
    self._no_users = why_no_users(config, features, key)
    self._strata = Strata(config.model.stratifiers, features, key)
    inputs = [*input_names(config, schema_widths(config))]
    if self._no_users is None:
      inputs.append(config.evaluation.user_feature)
    if self._strata.names:
      inputs.append(FEATURE)
    inputs = list(dict.fromkeys(inputs))
    recorded = [baseline.recorded(self._tasks) for baseline in self._baselines]
    probabilities = {name: feature for each in recorded for name, feature in each.items()}
    self._pipeline = InputPipeline(partition, "evaluate", inputs, self._tasks, key, probabilities)
    self._has_recorded = bool(probabilities)
    self._known_batches: Optional[int] = None
    self.is_complete = False

  def _subject(self, is_calibrated: bool) -> Subject:
    config, rates = self._config, [self._partition.tasks[task] for task in self._tasks]
    return Subject(
      tasks=self._tasks,
      model_tasks=tuple(config.model.tasks),
      class_weights=tuple(
        (1 / rate.neg_downsampling_rate, 1 / rate.pos_downsampling_rate) for rate in rates
      ),
      metrics=tuple(config.which_metrics or METRIC_NAMES),
      settings=config.evaluation,
      score=config.score,
      no_users=self._no_users,
      strata=self._strata.names,
      is_calibrated=is_calibrated,
      baselines=tuple(baseline.name for baseline in self._baselines),
      upper_bound=next((each.name for each in self._baselines if each.is_upper_bound), None),
    )

  def read(self, predict: Predict, checkpoint: str, is_calibrated: bool = False) -> PartitionMeter:
    """Reads the partition, up to `training.num_eval_steps` batches, and returns what it holds.

    Args:
      predict: the model.
      checkpoint: where its weights are from, for the messages.
      is_calibrated: its calibrated probabilities differ from the raw ones.

    Raises:
      DataError: a record cannot be read, or there is none.
      CheckpointError: the model predicts something that is not finite.
    """
    meter = PartitionMeter(self._subject(is_calibrated))
    num_steps = self._config.training.num_eval_steps
    # One batch more than wanted is asked for, to know whether that was all.
    dataset = (
      self._pipeline.dataset if num_steps < 0 else self._pipeline.dataset.take(num_steps + 1)
    )
    self.is_complete = True
    with self._pipeline.explained(), self._bar(num_steps) as bar:
      log = _Log(self._name, self._config.training.eval_log_every_n, bar)
      for features, labels, weights in dataset:
        if meter.batches == num_steps:
          self.is_complete = False
          break
        outputs = {name: tensor.numpy() for name, tensor in predict(features).items()}
        self._require_finite(outputs, checkpoint)
        meter.add(self._measure(features, labels, weights, meter.subject, outputs))
        log.advance(len(next(iter(labels.values()))))
    self._report_skipped(nothing_read=not meter.batches)
    if not meter.batches:
      raise DataError(
        f"validation_data.{self._name}: nothing was read, allowed: at least one record in its files"
      )
    self._known_batches = meter.batches if self.is_complete else self._known_batches
    return meter

  def check_recorded(self) -> None:
    """Finds out from the first batch whether records hold what baselines read of them.

    Raises:
      DataError: they do not, or the batch cannot be read.
    """
    if not self._has_recorded:
      return
    with self._pipeline.explained():
      for _ in self._pipeline.dataset.take(1):
        pass

  def _bar(self, num_steps: int) -> tqdm:
    """How many batches there are is known once they have been read, or when only some are."""
    known = [
      count for count in (num_steps, self._known_batches) if count is not None and count >= 0
    ]
    return progress_bar(min(known) if known else None, f"evaluating {self._name}", unit="batch")

  def _measure(
    self,
    features: Mapping[str, tf.Tensor],
    labels: Mapping[str, tf.Tensor],
    weights: Mapping[str, tf.Tensor],
    subject: Subject,
    outputs: Mapping[str, np.ndarray],
  ) -> MeasuredBatch:
    stacked = np.stack([labels[task].numpy() for task in self._tasks], axis=1)
    _check_weights(
      np.stack([weights[task].numpy() for task in self._tasks], axis=1), stacked, subject
    )
    return MeasuredBatch(
      probabilities=outputs["calibrated_probabilities"],
      labels=stacked,
      scores=outputs["score"],
      uncalibrated=outputs["probabilities"],
      users=self._users(features),
      strata=self._strata.of(features[FEATURE].numpy()) if self._strata.names else None,
      baselines={each.name: each.predict(features, self._tasks) for each in self._baselines},
    )

  def _require_finite(self, outputs: Mapping[str, np.ndarray], checkpoint: str) -> None:
    if not all(np.isfinite(values).all() for values in outputs.values()):
      raise CheckpointError(
        f"{checkpoint}: what the model predicts for a record of validation_data.{self._name} is "
        "not finite; use another checkpoint with --checkpoint=PATH"
      )

  def _report_skipped(self, nothing_read: bool) -> None:
    skipped = self._pipeline.skipped
    summary = skipped.summary() if skipped is not None else None
    if summary is not None and nothing_read:
      raise skipped.nothing_left()
    if summary is not None:
      print(summary)

  def _users(self, features: Mapping[str, tf.Tensor]) -> Optional[np.ndarray]:
    if self._no_users is not None:
      return None
    return user_ids(features[self._config.evaluation.user_feature])


class _Log:
  """Counts batches on the bar, with a line every so many."""

  def __init__(self, name: str, every: int, bar: Any):
    self._name, self._every, self._bar = name, every, bar
    self._batches, self._examples, self._started = 0, 0, time.monotonic()

  def advance(self, examples: int) -> None:
    self._batches += 1
    self._examples += examples
    self._bar.update(1)
    if self._batches % self._every:
      return
    rate = self._examples / max(time.monotonic() - self._started, 1e-9)
    self._bar.write(
      f"evaluating {self._name}: {self._batches} batches, {self._examples} examples, "
      f"{rate:.0f} examples/s",
      file=sys.stdout,
    )
    sys.stdout.flush()


def _features(partition: DataConfig, key: str) -> dict[str, Feature]:
  """Returns what a partition can yield besides labels, by name inside the model."""
  preprocessor = preprocessing.Preprocessor(partition.preprocess, f"{key}.preprocess")
  return preprocessor.outputs(schema.features_of(partition, key), partition.tasks, ())


def _check_weights(weights: np.ndarray, labels: np.ndarray, subject: Subject) -> None:
  """Metrics take weights by class; whoever gives evaluation others has to change that."""
  negative, positive = np.array(subject.class_weights).T
  if not np.allclose(weights, np.where(labels, positive, negative), rtol=1e-6):
    raise ValueError("weights of an evaluation that a label's class does not decide")

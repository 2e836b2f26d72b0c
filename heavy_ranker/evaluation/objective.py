"""The value of an objective: out of an evaluation's result, or measured by itself."""

import math
from collections.abc import Mapping
from typing import Any, Callable, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.checkpoints import restore_weights
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.objective import Objective, metric_kind
from heavy_ranker.evaluation.partition_reader import PREDICTIONS, PartitionReader
from heavy_ranker.evaluation.partition_result import PartitionResult
from heavy_ranker.model import build_model
from tfrecords.errors import DataError

_SCORE = "the score"
_UNDEFINED = "found no positives, no negatives or no finite predictions, allowed: some of each"


def objective_values(
  objective: Objective, partition: Mapping[str, Any], key: str
) -> dict[str, float]:
  """Returns the objective's metric by task; of `the score` if it is the score's.

  Args:
    objective: what to choose by.
    partition: what `heavy_ranker.evaluation.results_file` holds of the objective's partition;
      undefined values are NaN or null.
    key: the objective's path in the configuration, for the messages.

  Raises:
    DataError: the metric is not defined there, for a task without positives say.
  """
  metric, tasks, reasons = objective.metric, partition["tasks"], {}
  if metric in partition["ranking"]:
    values = {_SCORE: partition["ranking"][metric]}
  else:
    names = list(tasks) if objective.tasks == "all" else objective.tasks
    values = {name: tasks[name]["metrics"][metric] for name in names}
    reasons = {name: tasks[name]["reasons"].get(metric) for name in names}
  for name, value in values.items():
    if value is None or not math.isfinite(value):
      raise DataError(
        f"{key}.metric: {metric} of {name} is not defined on {objective.partition}: "
        f"{reasons.get(name) or _UNDEFINED}. Choose other {key}.tasks, or another partition"
      )
  return values


def mean_value(values: Mapping[str, float]) -> float:
  """Returns what counts of an objective's values: their mean."""
  return sum(values.values()) / len(values)


def only_objective(config: HeavyRankerConfig, objective: Objective) -> HeavyRankerConfig:
  """Returns the configuration with nothing to measure but the objective."""
  partition = objective.partition
  nothing_else = {"bootstrap_samples": 0, "baselines": {}, "what_if": {}}
  return config.model_copy(
    update={
      "evaluation": config.evaluation.model_copy(update=nothing_else),
      "model": config.model.model_copy(update={"stratifiers": None}),
      "validation_data": {partition: config.validation_data[partition]},
      "which_metrics": [metric_kind(objective)],
    }
  )


class ObjectiveMeter:
  """Measures the objective of checkpoints, as evaluations do, and writes nothing.

  The model is built at the first checkpoint, of float32 as evaluations and exports have it, apart
  from the one that is trained; of a calibration it knows nothing.

  Args:
    config: the whole configuration.
    objective: what to measure.
    key: its path in the configuration, for the messages.

  Raises:
    ConfigError, DataError: the partition or its files cannot be used, or it has no users and the
      metric needs them.
  """

  def __init__(self, config: HeavyRankerConfig, objective: Objective, key: str):
    self._config, self._objective, self._key = only_objective(config, objective), objective, key
    name = objective.partition
    self._reader = PartitionReader(self._config, name, config.validation_data[name])
    self._ranker: Optional[keras.Model] = None

  def measure(
    self, checkpoint: str, goes_on: Callable[[], bool] = lambda: True
  ) -> Optional[dict[str, float]]:
    """Returns the values of a checkpoint, see `objective_values`.

    Args:
      checkpoint: the checkpoint's path.
      goes_on: asked before each batch.

    Returns:
      The values, or None if it was not to go on.

    Raises:
      DataError: a record cannot be read, there is none, or the metric is not defined.
      CheckpointError: the checkpoint cannot be read, or what it predicts is not finite.
    """
    if self._ranker is None:
      self._ranker = build_model(self._config, weights_follow=True)
      # Traced once: the weights are restored into the same variables.
      self._predict = tf.function(self._predictions, autograph=False)
    restore_weights(self._ranker, checkpoint)

    def predict(features: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
      if not goes_on():
        raise _EndedEarlyError
      return self._predict(features)

    try:
      meter = self._reader.read(predict, checkpoint)
    except _EndedEarlyError:
      return None
    result = PartitionResult(meter).as_dict(self._reader.is_complete)
    return objective_values(self._objective, result, self._key)

  def _predictions(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    outputs = self._ranker({name: features[name] for name in self._ranker.input})
    return {name: outputs[name] for name in PREDICTIONS}


class _EndedEarlyError(Exception):
  """An evaluation was not to go on."""

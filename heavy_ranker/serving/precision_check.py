"""The ranker of an export in fewer bits, compared with float32 on held-out examples."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.features import input_names, schema_widths
from heavy_ranker.serving.low_precision import LowPrecisionRanker
from heavy_ranker.serving.precision_change import (
  PrecisionChange,
  format_change,
  precision_change,
  require_small,
)
from tfrecords.errors import CheckpointError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.progress import progress_bar

_COMPARED = ("score", "logits")


def lower_precision(
  config: HeavyRankerConfig, ranker: keras.Model
) -> tuple[LowPrecisionRanker, str]:
  """Returns a ranker in `export.precision`, and as JSON what was done and what it changes.

  Args:
    config: the whole configuration; a comparison is made unless `export.check_precision` is off.
    ranker: the ranker in float32.

  Raises:
    UserError: it cannot be lowered or compared, or changes the scores too much.
  """
  section = config.export
  lowered = LowPrecisionRanker(ranker, section)
  change = check_precision(config, ranker, lowered) if section.check_precision else None
  description = {
    "precision": section.precision,
    "matmul_precision": section.matmul_precision,
    "matrices": sorted(lowered.matrices),
    "partition": section.compared_partition(list(config.validation_data)) if change else None,
    "change": asdict(change) if change else None,
  }
  return lowered, json.dumps(description, indent=2) + "\n"


def check_precision(
  config: HeavyRankerConfig, ranker: keras.Model, lowered: LowPrecisionRanker
) -> PrecisionChange:
  """Runs both over the first examples of a partition, prints the change, and refuses a large one.

  Args:
    config: the whole configuration; `export` names the partition, how many examples, and bounds.
    ranker: the ranker in float32.
    lowered: the same in fewer bits.

  Raises:
    ConfigError, DataError: the partition cannot be read, or its examples say nothing.
    CheckpointError: scores in float32 are not finite.
    PrecisionError: the change is beyond the bounds.
  """
  name = config.export.compared_partition(list(config.validation_data))
  key = f"validation_data.{name}"
  before, after = _run(config, name, (ranker, lowered))
  _require_comparable(before["score"], key)
  change = precision_change(before, after, list(config.model.tasks))
  print(f"{key}: {format_change(change)}", flush=True)
  require_small(change, config.export)
  return change


def _require_comparable(scores: np.ndarray, key: str) -> None:
  if not np.isfinite(scores).all():
    raise CheckpointError(
      f"{key}: found a record whose score is not finite in float32, allowed: finite ones; use "
      "another checkpoint with --checkpoint=PATH"
    )
  if len(np.unique(scores)) < 2:
    raise DataError(
      f"{key}: found {len(scores)} example(s) of one score, allowed: scores that differ, for "
      "export.precision to be compared with float32 (export.check_precision: false goes without)"
    )


def _run(
  config: HeavyRankerConfig, partition: str, rankers: Sequence[Callable]
) -> list[Mapping[str, np.ndarray]]:
  """Returns what each ranker makes of the first examples, as arrays over all of them."""
  key, left = f"validation_data.{partition}", config.export.max_examples
  inputs = input_names(config, schema_widths(config))
  pipeline = InputPipeline(config.validation_data[partition], "predict", inputs, key=key)
  functions = [_function(ranker) for ranker in rankers]
  batches: list[list[Mapping[str, np.ndarray]]] = []
  with pipeline.explained(), progress_bar(left, "comparing", unit="example") as bar:
    for features in pipeline.dataset:
      features = {name: tensor[:left] for name, tensor in features[0].items()}
      outputs = [function(features) for function in functions]
      batches.append([{name: each[name].numpy() for name in _COMPARED} for each in outputs])
      count = len(batches[-1][0]["score"])
      bar.update(count)
      left -= count
      if not left:
        break
  if not batches:
    raise DataError(f"{key}: found no record to read, allowed: at least two")
  return [
    {name: np.concatenate([batch[name] for batch in of_one]) for name in _COMPARED}
    for of_one in zip(*batches)
  ]


def _function(ranker: Callable) -> Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]:
  @tf.function(autograph=False, reduce_retracing=True)
  def compute(features: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    outputs = ranker({name: features[name] for name in ranker.input}, training=False)
    return {name: outputs[name] for name in _COMPARED}

  return compute

"""Measures how much a checkpoint relies on groups of features, and on single ones."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.best_checkpoint import chosen_checkpoint
from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.checkpoints import restore_weights, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.feature_groups import ALL, NONE, read_feature_groups
from heavy_ranker.config_check import check_config
from heavy_ranker.evaluation.feature_columns import FeatureColumns, FeatureGroup
from heavy_ranker.evaluation.labelled_examples import LabelledExamples, read_examples
from heavy_ranker.evaluation.permutation_importance import PermutationImportance, Predict
from heavy_ranker.evaluation.report import write_report
from heavy_ranker.evaluation.results_file import (
  FORMAT_VERSION,
  importance_path,
  results_path,
  write_result,
)
from heavy_ranker.features import input_names, schema_widths
from heavy_ranker.model import build_model
from tfrecords import paths
from tfrecords.command_hints import command
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import CheckpointError, ConfigError
from tfrecords.progress import progress_bar


@dataclass(frozen=True)
class ImportanceOptions:
  """What to measure.

  Attributes:
    checkpoint: the checkpoint; the run's newest when None.
    partition: of `validation_data`; may be left out when there is one.
    max_examples: how many of its examples, from the first on, are kept in memory.
    metric: one of `heavy_ranker.config.evaluation.IMPORTANCE_METRICS`.
    repeats: how many permutations each number is the mean of.
    seed: of the permutations.
    groups: the file that says which columns belong together; each input is a group when None.
    single_features: "all", the name of a group, or "none".
  """

  checkpoint: Optional[str] = None
  partition: Optional[str] = None
  max_examples: int = 8192
  metric: str = "relative_cross_entropy"
  repeats: int = 5
  seed: int = 0
  groups: Optional[str] = None
  single_features: str = NONE


def measure_importance(config: HeavyRankerConfig, options: ImportanceOptions) -> dict[str, Any]:
  """Measures groups of features and writes SAVE_DIR/evaluation/importance-N.json.

  Args:
    config: the whole configuration.
    options: what to measure.

  Returns:
    What is in the file (docs/evaluation.md), undefined values as NaN.

  Raises:
    UserError: configuration, groups, data or checkpoint cannot be used, or nothing be written.
  """
  check_config(config)
  name = _partition(config, options.partition)
  partition, key = config.validation_data[name], f"validation_data.{name}"
  inputs = input_names(config, schema_widths(config))
  columns = FeatureColumns(partition, key, inputs)
  groups, notes = columns.each_input(), []
  if options.groups is not None:
    path = paths.resolve(options.groups, "--groups")
    groups, notes = columns.groups(read_feature_groups(path), path)
  singles = _singles(options.single_features, groups, columns)
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  checkpoint = chosen_checkpoint(config, options.checkpoint)
  started = time.monotonic()
  tasks = tuple(partition.evaluation_tasks or config.model.tasks)
  predict = _load(config, checkpoint, tasks, key)
  examples = read_examples(partition, key, inputs, tasks, options.max_examples)
  if not examples.is_everything:
    notes.append(f"only the first {len(examples.labels)} examples of the partition were looked at")
  measured = _Measured(predict, examples, tasks, options, partition.global_batch_size)
  entries = measured.entries([*groups, *singles])
  result = {
    "format_version": FORMAT_VERSION,
    "step": step_of(checkpoint),
    "checkpoint": checkpoint,
    "seconds": time.monotonic() - started,
    "partition": name,
    "metric": options.metric,
    "examples": len(examples.labels),
    "repeats": options.repeats,
    "seed": options.seed,
    "notes": notes,
    "baseline": measured.importance.baseline,
    "reasons": measured.importance.reasons,
    "groups": entries[: len(groups)],
    "features": entries[len(groups) :],
  }
  write_result(result, importance_path(save_dir, step_of(checkpoint)))
  return result


def importance_places(config: HeavyRankerConfig, result: Mapping[str, Any]) -> str:
  """Writes the report anew, where there is one to write, and says where everything lies."""
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  places = f"stored in {importance_path(save_dir, result['step'])}"
  if not tf.io.gfile.exists(results_path(save_dir, result["step"])):
    hint = command("heavy_ranker", "evaluate")
    return f"{places}\nnext: {hint} with the same flags, whose report shows it"
  return f"{places}\nreport of the newest evaluation: {write_report(save_dir)}"


class _Measured:
  """Measures groups one after the other, and says beforehand how long that takes."""

  def __init__(
    self,
    predict: Predict,
    examples: LabelledExamples,
    tasks: Sequence[str],
    options: ImportanceOptions,
    batch_size: int,
  ):
    self._repeats = options.repeats
    # The first call traces the model.
    predict({name: values[:batch_size] for name, values in examples.features.items()})
    started = time.monotonic()
    self.importance = PermutationImportance(
      predict, examples, tasks, options.metric, batch_size, options.repeats, options.seed
    )
    self._seconds, self._size = time.monotonic() - started, len(examples.labels)

  def entries(self, groups: Sequence[FeatureGroup]) -> list[dict[str, Any]]:
    passes = len(groups) * self._repeats
    print(
      f"{len(groups)} groups and features, {self._repeats} permutations each: {passes} passes over "
      f"{self._size} examples, about {_duration(passes * self._seconds)}",
      flush=True,
    )
    with progress_bar(passes, "importance", unit="pass") as bar:
      return [self.importance.measure(group, lambda: bar.update(1)) for group in groups]


def _duration(seconds: float) -> str:
  if seconds < 100:
    return f"{max(round(seconds), 1)} s"
  return f"{round(seconds / 60)} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _partition(config: HeavyRankerConfig, name: Optional[str]) -> str:
  names = list(config.validation_data)
  if not names:
    raise ConfigError("validation_data: found no partition, allowed: one to measure on")
  if name is None and len(names) > 1:
    raise ConfigError(
      f"--partition: found none, allowed: one of {', '.join(names)}, such as --partition={names[0]}"
    )
  if name is not None and name not in names:
    raise ConfigError(
      f"--partition: found {name!r}{did_you_mean(name, names)}; allowed: one of {', '.join(names)}"
    )
  return name or names[0]


def _singles(
  which: str, groups: Sequence[FeatureGroup], columns: FeatureColumns
) -> list[FeatureGroup]:
  if which == NONE:
    return []
  if which == ALL:
    # Columns in no group, too; those in one by the names they have there.
    named = {_place(each): each for group in groups for each in group.singles()}
    every = [each for group in columns.each_input() for each in group.singles()]
    return [named.get(_place(each), each) for each in every]
  for group in groups:
    if group.name == which:
      return group.singles()
  names = [group.name for group in groups]
  raise ConfigError(
    f"--single_features: found {which!r}{did_you_mean(which, names)}; allowed: {ALL}, {NONE}, or "
    f"one of {', '.join(names)}"
  )


def _place(single: FeatureGroup) -> tuple[str, int]:
  ((name, places),) = single.columns.items()
  return name, int(places[0])


def _load(config: HeavyRankerConfig, checkpoint: str, tasks: Sequence[str], key: str) -> Predict:
  calibration = applied_calibration(config, checkpoint)
  ranker = build_model(config, weights_follow=True, calibration=calibration)
  restore_weights(ranker, checkpoint)
  positions = [list(config.model.tasks).index(task) for task in tasks]
  traced = _traced(ranker)

  def predict(features: Mapping[str, np.ndarray]) -> np.ndarray:
    probabilities = traced(dict(features)).numpy()[:, positions]
    if not np.isfinite(probabilities).all():
      raise CheckpointError(
        f"{checkpoint}: what the model predicts for a record of {key} is not finite; use another "
        "checkpoint with --checkpoint=PATH"
      )
    return probabilities

  return predict


def _traced(ranker: keras.Model) -> Any:
  signature = {
    name: tf.TensorSpec([None, tensor.shape[1]], tensor.dtype)
    for name, tensor in ranker.input.items()
  }
  return tf.function(
    lambda features: ranker(features)["calibrated_probabilities"],
    input_signature=[signature],
    autograph=False,
  )

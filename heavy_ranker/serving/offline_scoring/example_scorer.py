"""What scores records, serialized or packed: an export as it is served, or a checkpoint."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.checkpoints import require_checkpoint, restore_weights
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.model import build_model
from heavy_ranker.serving.export_folder import (
  find_version,
  fingerprint,
  hash_of_files,
  tasks_of,
)
from heavy_ranker.serving.signatures import SCORE_EXAMPLES, SERVING_DEFAULT, ServingModule
from tfrecords import paths, schema
from tfrecords.errors import StorageError, reason
from tfrecords.folders import on_this_machine
from tfrecords.packed.recipes import Recipe, feature_recipe
from tfrecords.preprocessing import Preprocessor


@dataclass(frozen=True)
class ExampleScorer:
  """Functions of serialized tf.Examples and of the model's inputs, with their tasks.

  Attributes:
    origin: the export or checkpoint, for the messages.
    tasks: the model's tasks in order.
    function: serialized Examples [n] -> `score` [n] and each task's probability [n], float32.
    owner: keeps the variables alive.
    of_inputs: the model's inputs by name [n, width] -> the same.
    inputs: shape and dtype of each of them, after preprocessing.
    recipes: how each comes about of the records, if that is known; see `tfrecords.packed.recipes`.
  """

  origin: str
  tasks: tuple[str, ...]
  function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]]
  owner: Any = field(repr=False)
  of_inputs: Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]
  inputs: Mapping[str, tf.TensorSpec]
  recipes: Mapping[str, Recipe] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
  """A model that has been found, and can be loaded.

  Attributes:
    origin: the export or checkpoint.
    identity: a hash of what its scores depend on, known before it is loaded.
    load: loads it. Raises a UserError when it cannot be used.
  """

  origin: str
  identity: str
  load: Callable[[], ExampleScorer]


def exported_model(export_dir: str) -> Model:
  """Finds an export: a version's folder, or the newest version of a folder.

  Raises:
    StorageError: there is none.
  """
  folder = find_version(export_dir)
  return Model(folder, fingerprint(folder), lambda: _load_export(folder))


def checkpoint_model(config: HeavyRankerConfig, checkpoint: str) -> Model:
  """Finds a checkpoint; it scores as an export of it with the same configuration would.

  Args:
    config: the whole configuration.
    checkpoint: the checkpoint's path.

  Raises:
    ConfigError, DataError: configuration or schema cannot be used.
    CheckpointError: there is no such checkpoint, or its calibration does not fit.
  """
  check_config(config, with_partitions=False)
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  path = require_checkpoint(save_dir, checkpoint)
  sections = config.model_dump(
    mode="json",
    include={
      "model": True,
      "score": True,
      "train_data": {"seg_dense_schema", "preprocess", "tasks", "sampling_correction"},
    },
  )
  described = [sections, repr(applied_calibration(config, path)), hash_of_files([f"{path}.index"])]
  identity = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
  return Model(path, identity, lambda: _restore(config, path))


def _load_export(folder: str) -> ExampleScorer:
  try:
    # TensorFlow 2.16 crashes when it reads the fingerprint of a SavedModel in an object store.
    with on_this_machine(folder) as local_folder:
      loaded = tf.saved_model.load(local_folder)
  except (tf.errors.OpError, OSError, ValueError, IndexError) as error:
    raise StorageError(f"{folder}: the export cannot be loaded: {reason(error)}") from None
  for name in (SCORE_EXAMPLES, SERVING_DEFAULT):
    if name not in loaded.signatures:
      raise StorageError(
        f"{folder}: the export has no signature {name!r}, found: {', '.join(loaded.signatures)}. "
        "Export it again with //heavy_ranker:export"
      )
  signature, of_inputs = loaded.signatures[SCORE_EXAMPLES], loaded.signatures[SERVING_DEFAULT]
  (examples,) = signature.structured_input_signature[1]
  return ExampleScorer(
    folder,
    tasks_of(folder, signature.structured_outputs),
    lambda serialized: signature(**{examples: serialized}),
    loaded,
    lambda inputs: of_inputs(**inputs),
    of_inputs.structured_input_signature[1],
  )


def _restore(config: HeavyRankerConfig, checkpoint: str) -> ExampleScorer:
  calibration = applied_calibration(config, checkpoint)
  ranker = build_model(config, weights_follow=True, calibration=calibration)
  restore_weights(ranker, checkpoint)
  module = ServingModule(config, ranker)
  inputs = module.serving_default.structured_input_signature[1]
  return ExampleScorer(
    checkpoint,
    tuple(config.model.tasks),
    module.score_examples,
    module,
    lambda batch: module.serving_default(**batch),
    inputs,
    _recipes(config, tuple(inputs)),
  )


def _recipes(config: HeavyRankerConfig, names: tuple[str, ...]) -> dict[str, Recipe]:
  section = config.train_data
  known, preprocessor = schema.features_of(section), Preprocessor(section.preprocess)
  preprocessor.outputs(known, section.tasks, names)
  return {name: feature_recipe(name, known, preprocessor) for name in names}

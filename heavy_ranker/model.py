"""Puts the layers together into the functional Keras model."""

import re
from collections.abc import Mapping
from typing import Any, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.calibration import SamplingCalibration, sampling_ratios
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.model import DlrmConfig, TaskModelConfig
from heavy_ranker.layers.architecture import make_architecture, takes_parts
from heavy_ranker.layers.embedding_norm import EmbeddingNorm
from heavy_ranker.layers.featurization import DoubleNormLog
from heavy_ranker.layers.log_featurization import LogFeaturization
from heavy_ranker.layers.tower import Tower, tower_name
from heavy_ranker.scoring import Score
from heavy_ranker.seeds import derive_seed
from tfrecords import preprocessing, schema
from tfrecords.config.strict_model import require_supported
from tfrecords.errors import ConfigError

_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# In this order they follow the featurized vector.
EMBEDDINGS = ("user_embedding", "user_eng_embedding", "author_embedding")


# Without this, AutoGraph rewrites Keras's own source for every layer type: 10 s for nothing, since
# no layer here has Python control flow on tensors.
@tf.autograph.experimental.do_not_convert
def build_model(
  config: HeavyRankerConfig, input_widths: Optional[Mapping[str, int]] = None
) -> keras.Model:
  """Builds the ranker.

  Args:
    config: the whole configuration; `model`, `score` and the schema are used.
    input_widths: width by input name; what is not named does not exist. From the schema after
      preprocessing when None.

  Returns:
    A functional model from a dict of float32 inputs (`continuous`, `binary`, and those of
    EMBEDDINGS that exist, [batch, width] each) to a dict: `logits`, `probabilities`,
    `calibrated_probabilities` [batch, tasks] in the order of `config.model.tasks`, and `score`
    [batch].

  Raises:
    ConfigError: an input the configuration asks for does not exist.
    NotSupportedError: an option has no code behind it yet.
  """
  require_supported(config.model, "model")
  widths = dict(input_widths) if input_widths is not None else schema_widths(config)
  names = check_model(config, widths)
  inputs = {name: _input(name, widths[name]) for name in names}
  parts = _feature_parts(config, inputs)
  tasks = list(config.model.tasks)
  logits = keras.layers.Concatenate(name="logits")(_logits(config, parts))
  probabilities = keras.layers.Activation("sigmoid", name="probabilities")(logits)
  calibrated = SamplingCalibration(
    sampling_ratios(config.train_data, tasks), name="calibrated_probabilities"
  )(logits)
  outputs = {
    "logits": logits,
    "probabilities": probabilities,
    "calibrated_probabilities": calibrated,
    "score": Score(config.score, tasks, name="score")(calibrated),
  }
  return keras.Model(inputs, outputs, name="heavy_ranker")


def check_model(config: HeavyRankerConfig, widths: Mapping[str, int]) -> tuple[str, ...]:
  """Finds out whether the model can be built, without building it.

  Args:
    config: the whole configuration.
    widths: width by input name, see `schema_widths`.

  Returns:
    The model's inputs, see `input_names`.

  Raises:
    ConfigError: names the key that has to change.
  """
  names = input_names(config, widths)
  towers: dict[str, str] = {}
  for task in config.model.tasks:
    other = towers.setdefault(tower_name(task), task)
    if other != task:
      raise ConfigError(
        f"model.tasks.{task}: its tower would bear the name of {other!r}'s, {tower_name(task)}; "
        "allowed: names that differ in letters, digits and .-_"
      )
  embeddings = [widths[name] for name in EMBEDDINGS if name in names]
  architectures = {f"tasks.{task}": tower for task, tower in config.model.tasks.items()}
  for path, architecture in {"backbone": config.model.backbone, **architectures}.items():
    if architecture is not None and takes_parts(architecture):
      _check_dlrm(architecture.dlrm_config, embeddings, f"model.{path}.dlrm_config")
  return names


def schema_widths(config: HeavyRankerConfig, partition: str = "") -> dict[str, int]:
  """Returns the widths of all dense features after preprocessing, by name inside the model.

  Args:
    config: the whole configuration.
    partition: a partition of `validation_data`; empty means `train_data`.
  """
  section = config.validation_data[partition] if partition else config.train_data
  key = f"validation_data.{partition}" if partition else "train_data"
  widths = preprocessing.dense_widths(section, schema.features_of(section, key), key)
  return {name: width for name, width in widths.items() if name not in section.tasks}


def input_names(config: HeavyRankerConfig, widths: Mapping[str, int]) -> tuple[str, ...]:
  """Returns the model's inputs in order: continuous, what joins it, the embeddings there are.

  Raises:
    ConfigError: a needed input is not among `widths`.
  """
  needed = ("continuous", *config.model.featurization_config.feature_names_to_concat)
  for name in needed:
    if name not in widths:
      raise ConfigError(
        f"model.featurization_config: the input {name!r} is needed and missing; found: "
        f"{', '.join(widths)}. Name it under train_data.seg_dense_schema.renamed_features"
      )
    if not _INPUT_NAME.fullmatch(name) or name == "self":
      raise ConfigError(
        f"model.featurization_config.feature_names_to_concat: found {name!r}, allowed: letters, "
        "digits and _, a letter first (and not self), since it is an argument of the export. Name "
        "the feature so under train_data.seg_dense_schema.renamed_features"
      )
  return (*needed, *(name for name in EMBEDDINGS if name in widths))


def _input(name: str, width: int) -> tf.Tensor:
  # The prefix keeps features and layers apart, whatever they are called.
  return keras.Input((width,), dtype=tf.float32, name=f"input.{name}")


def _feature_parts(config: HeavyRankerConfig, inputs: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
  """Returns the featurized dense features, then the normalized embeddings."""
  section = config.model.featurization_config
  dense = [inputs[name] for name in ("continuous", *section.feature_names_to_concat)]
  embeddings = [name for name in EMBEDDINGS if name in inputs]
  return [
    _featurization(config)(dense),
    *(EmbeddingNorm(name=f"{name}_norm")(inputs[name]) for name in embeddings),
  ]


def _featurization(config: HeavyRankerConfig) -> keras.layers.Layer:
  section, name = config.model.featurization_config, "featurization"
  if section.log1p_abs_config is not None:
    return LogFeaturization(name=name)
  if section.clip_log1p_abs_config is not None:
    return LogFeaturization(section.clip_log1p_abs_config.clip_magnitude, name=name)
  synchronize = config.training.synchronize_batch_norm
  return DoubleNormLog(section.double_norm_log_config, synchronize, name=name)


def _logits(config: HeavyRankerConfig, parts: list[tf.Tensor]) -> list[tf.Tensor]:
  section, seed = config.model, config.training.seed
  synchronize = config.training.synchronize_batch_norm
  features = parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="features")(parts)

  def input_of(architecture: TaskModelConfig, shared: tf.Tensor) -> Any:
    return parts if takes_parts(architecture) else shared

  shared = features
  if section.multi_task_type != "share_none":
    backbone = make_architecture(
      section.backbone, derive_seed(seed, "backbone"), synchronize, "backbone"
    )
    shared = backbone(input_of(section.backbone, features))
  if section.multi_task_type == "share_partial":
    shared = keras.layers.Concatenate(name="features_and_backbone")([features, shared])
  return [
    Tower(tower, derive_seed(seed, tower_name(task)), synchronize, tower_name(task))(
      input_of(tower, shared)
    )
    for task, tower in section.tasks.items()
  ]


def _check_dlrm(config: DlrmConfig, widths: list[int], path: str) -> None:
  """Dot products need vectors of one width, here those of the embeddings.

  Raises:
    ConfigError: there is no embedding, or the widths differ.
  """
  if not widths:
    raise ConfigError(f"{path}: found no embedding among the inputs, allowed: at least one")
  if len(set(widths)) > 1:
    raise ConfigError(
      f"{path}: found embeddings of widths {', '.join(map(str, widths))}, allowed: one width"
    )
  bottom = config.bottom_mlp.layer_sizes[-1]
  if bottom != widths[0]:
    raise ConfigError(
      f"{path}.bottom_mlp.layer_sizes: the last size is {bottom}, allowed: {widths[0]}, the width "
      "of the embeddings"
    )

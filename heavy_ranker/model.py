"""Puts the layers together into the functional Keras model."""

from collections.abc import Mapping
from typing import Any, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.calibration import SamplingCalibration, sampling_ratios
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.model import DlrmConfig, TaskModelConfig
from heavy_ranker.features import FeatureParts, make_inputs, make_parts, schema_widths
from heavy_ranker.layers.architecture import make_architecture, takes_parts
from heavy_ranker.layers.featurization import DoubleNormLog
from heavy_ranker.layers.log_featurization import LogFeaturization
from heavy_ranker.layers.tower import Tower, tower_name
from heavy_ranker.scoring import Score
from heavy_ranker.seeds import derive_seed
from tfrecords.config.strict_model import require_supported
from tfrecords.errors import ConfigError


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
    A functional model from a dict of inputs [batch, width] to a dict: `logits`, `probabilities`,
    `calibrated_probabilities` [batch, tasks] in the order of `config.model.tasks`, and `score`
    [batch]. The inputs are float32 (`continuous`, `binary`, the ready-made embeddings there are)
    and int64 (ids and `discrete`, where a table looks them up), see `heavy_ranker.features`.
    Vocabularies are empty and tables random until a checkpoint is restored or
    `heavy_ranker.training.initial_tables` reads their files.

  Raises:
    ConfigError: an input the configuration asks for does not exist.
    NotSupportedError: an option has no code behind it yet.
  """
  require_supported(config.model, "model")
  widths = dict(input_widths) if input_widths is not None else schema_widths(config)
  inputs = make_inputs(config, widths)
  parts = make_parts(config, inputs, _featurization(config))
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


def _featurization(config: HeavyRankerConfig) -> keras.layers.Layer:
  section, name = config.model.featurization_config, "featurization"
  if section.log1p_abs_config is not None:
    return LogFeaturization(name=name)
  if section.clip_log1p_abs_config is not None:
    return LogFeaturization(section.clip_log1p_abs_config.clip_magnitude, name=name)
  synchronize = config.training.synchronize_batch_norm
  return DoubleNormLog(section.double_norm_log_config, synchronize, name=name)


def _logits(config: HeavyRankerConfig, parts: FeatureParts) -> list[tf.Tensor]:
  section, seed = config.model, config.training.seed
  synchronize = config.training.synchronize_batch_norm

  def input_of(architecture: TaskModelConfig, path: str, shared: tf.Tensor) -> Any:
    if not takes_parts(architecture):
      return shared
    _check_dlrm(architecture.dlrm_config, parts.embeddings, f"model.{path}.dlrm_config")
    return parts.apart

  shared = features = parts.joined
  if section.multi_task_type != "share_none":
    backbone = make_architecture(
      section.backbone, derive_seed(seed, "backbone"), synchronize, "backbone"
    )
    shared = backbone(input_of(section.backbone, "backbone", features))
  if section.multi_task_type == "share_partial":
    shared = keras.layers.Concatenate(name="features_and_backbone")([features, shared])
  return [
    Tower(tower, derive_seed(seed, tower_name(task)), synchronize, tower_name(task))(
      input_of(tower, f"tasks.{task}", shared)
    )
    for task, tower in section.tasks.items()
  ]


def _check_dlrm(config: DlrmConfig, embeddings: Mapping[str, tf.Tensor], path: str) -> None:
  """Dot products need vectors of one width.

  Raises:
    ConfigError: there is no embedding, or the widths differ.
  """
  widths = {name: int(tensor.shape[-1]) for name, tensor in embeddings.items()}
  if not widths:
    raise ConfigError(f"{path}: found no embedding among the inputs, allowed: at least one")
  if len(set(widths.values())) > 1:
    found = ", ".join(f"{width} ({name})" for name, width in widths.items())
    raise ConfigError(f"{path}: found embeddings of widths {found}, allowed: one width")
  bottom, width = config.bottom_mlp.layer_sizes[-1], next(iter(widths.values()))
  if bottom != width:
    raise ConfigError(
      f"{path}.bottom_mlp.layer_sizes: the last size is {bottom}, allowed: {width}, the width "
      "of the embeddings"
    )

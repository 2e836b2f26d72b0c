"""Puts the layers together into the functional Keras model."""

from collections.abc import Mapping
from typing import Any, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.calibration.curves import FittedCalibration
from heavy_ranker.calibration.layer import Calibration
from heavy_ranker.calibration.sampling import sampling_ratios
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.model import TaskModelConfig
from heavy_ranker.features import DISCRETE, FeatureParts, make_inputs, make_parts, schema_widths
from heavy_ranker.layers.architecture import takes_parts
from heavy_ranker.layers.backbone import make_backbone, mixes_for_each_task
from heavy_ranker.layers.compute_dtype import computing_in
from heavy_ranker.layers.featurization import DoubleNormLog
from heavy_ranker.layers.fitted_log import FittedLog
from heavy_ranker.layers.log_featurization import LogFeaturization
from heavy_ranker.layers.tower import Tower, tower_name
from heavy_ranker.layers.unstack import Unstack
from heavy_ranker.layers.wide import Wide
from heavy_ranker.layers.z_score_featurization import ZScoreLog
from heavy_ranker.model_check import check_model
from heavy_ranker.scoring import Score
from heavy_ranker.seeds import derive_seed
from heavy_ranker.z_score_statistics import load_z_score_statistics


# Without this, AutoGraph rewrites Keras's own source for every layer type: 10 s for nothing, since
# no layer here has Python control flow on tensors.
@tf.autograph.experimental.do_not_convert
def build_model(
  config: HeavyRankerConfig,
  input_widths: Optional[Mapping[str, int]] = None,
  calibration: Optional[FittedCalibration] = None,
  weights_follow: bool = False,
  compute_dtype: str = "float32",
) -> keras.Model:
  """Builds the ranker.

  Args:
    config: the whole configuration; `model`, `score` and the schema are used.
    input_widths: width by input name; what is not named does not exist. From the schema after
      preprocessing when None.
    calibration: what was fitted after training; it changes `calibrated_probabilities` and `score`.
    weights_follow: the weights of a checkpoint are restored next: files that only give initial
      values (the statistics of `z_score_log_config`) are not read and need not exist.
    compute_dtype: what backbone and towers compute in, see `heavy_ranker.layers.compute_dtype`;
      inputs, outputs and weights are float32 in any case.

  Returns:
    A functional model from a dict of inputs [batch, width] to a dict: `logits`, `probabilities`,
    `calibrated_probabilities` [batch, tasks] in the order of `config.model.tasks`, and `score`
    [batch]. The inputs are float32 (`continuous`, `binary`, the ready-made embeddings there are)
    and int64 (ids and `discrete`, where a table looks them up), see `heavy_ranker.features`.
    Vocabularies are empty and tables random until a checkpoint is restored or
    `heavy_ranker.training.initial_tables` reads their files.

  Raises:
    ConfigError: an input the configuration asks for does not exist.
    DataError: the statistics of `z_score_log_config` cannot be used.
  """
  widths = dict(input_widths) if input_widths is not None else schema_widths(config)
  check_model(config, widths)
  inputs = make_inputs(config, widths)
  featurization = _featurization(config, widths["continuous"], weights_follow)
  parts = make_parts(config, inputs, featurization)
  tasks = list(config.model.tasks)
  with computing_in(compute_dtype):
    of_towers = _logits(config, parts)
  logits = _all_logits(config, inputs, parts, of_towers)
  probabilities = keras.layers.Activation("sigmoid", name="probabilities")(logits)
  calibrated = Calibration(
    tasks,
    sampling_ratios(config.train_data, tasks),
    calibration.curves if calibration is not None else None,
    name="calibrated_probabilities",
  )(logits)
  outputs = {
    "logits": logits,
    "probabilities": probabilities,
    "calibrated_probabilities": calibrated,
    "score": Score(config.score, tasks, name="score")(calibrated),
  }
  return keras.Model(inputs, outputs, name="heavy_ranker")


def _all_logits(
  config: HeavyRankerConfig,
  inputs: Mapping[str, tf.Tensor],
  parts: FeatureParts,
  towers: list[tf.Tensor],
) -> tf.Tensor:
  """Returns the logits of all tasks, [batch, tasks]: the towers', and the wide part's on top."""
  wide = config.model.wide_config
  if wide is None:
    return keras.layers.Concatenate(name="logits")(towers)
  deep = keras.layers.Concatenate(name="deep_logits")(towers)
  tables = [inputs[DISCRETE]] if wide.tables else []
  linear = Wide(wide, len(towers), name="wide")([parts.dense, *tables])
  return keras.layers.Add(name="logits")([deep, linear])


def _featurization(
  config: HeavyRankerConfig, width: int, weights_follow: bool
) -> keras.layers.Layer:
  section, name = config.model.featurization_config, "featurization"
  if section.log1p_abs_config is not None:
    return LogFeaturization(name=name)
  if section.clip_log1p_abs_config is not None:
    return LogFeaturization(section.clip_log1p_abs_config.clip_magnitude, name=name)
  if section.fitted_log_config is not None:
    return FittedLog(section.fitted_log_config, name=name)
  synchronize = config.training.synchronize_batch_norm
  if section.z_score_log_config is not None:
    statistics = None if weights_follow else load_z_score_statistics(config, width)
    return ZScoreLog(section.z_score_log_config, statistics, synchronize, name=name)
  return DoubleNormLog(section.double_norm_log_config, synchronize, name=name)


def _logits(config: HeavyRankerConfig, parts: FeatureParts) -> list[tf.Tensor]:
  section, seed = config.model, config.training.seed
  synchronize = config.training.synchronize_batch_norm

  def input_of(architecture: TaskModelConfig, shared: tf.Tensor) -> Any:
    return parts.apart if takes_parts(architecture) else shared

  shared = [parts.joined]  # One for all towers, or one each.
  if section.multi_task_type != "share_none":
    backbone = make_backbone(
      section.backbone, list(section.tasks), derive_seed(seed, "backbone"), synchronize, "backbone"
    )
    shared = [backbone(input_of(section.backbone, parts.joined))]
    if mixes_for_each_task(section.backbone):
      shared = Unstack(name="mixtures")(shared[0])
  if section.multi_task_type == "share_partial":
    join = keras.layers.Concatenate(name="features_and_backbone")
    shared = [join([parts.joined, each]) for each in shared]
  shared = shared * len(section.tasks) if len(shared) == 1 else shared
  return [
    Tower(tower, derive_seed(seed, tower_name(task)), synchronize, tower_name(task))(
      input_of(tower, each)
    )
    for (task, tower), each in zip(section.tasks.items(), shared)
  ]

"""Weights of the PyTorch reference -> a model of ours."""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.layers.batch_normalization import BatchNormalization
from heavy_ranker.layers.embedding_norm import EmbeddingNorm
from heavy_ranker.layers.featurization import DoubleNormLog
from heavy_ranker.layers.layer_normalization import LayerNormalization
from heavy_ranker.layers.mask_net import MaskNet
from heavy_ranker.layers.mlp import Mlp
from heavy_ranker.layers.tower import Tower

_TOWER = "tower."
# Buffers that are no weights: a batch norm's count of batches, on which nothing depends, and
# constants (clip bounds, calibration ratios) that come from the configuration here.
_NO_WEIGHTS = re.compile(r"\.num_batches_tracked$|\.(min|max)_value$|^_calibrators\..*\.ratio$")

Target = tuple[str, tf.Variable, bool]


def load_reference_weights(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
  """Assigns a PyTorch state dict to a model from `build_model`.

  A kernel here is the transpose of a Linear weight there; running statistics are taken too;
  batch counters, clip bounds and calibration ratios are ignored.

  Args:
    model: a model of the same architecture and widths.
    arrays: array by PyTorch name, such as `_backbone._mask_blocks.0._hidden_layer.weight`.

  Raises:
    ValueError: names every array that is missing, left over or of the wrong shape; the model is
      then unchanged.
  """
  targets = {name: (variable, transposed) for name, variable, transposed in _targets(model)}
  given = {name: value for name, value in arrays.items() if not _NO_WEIGHTS.search(name)}
  problems = [f"missing: {name}" for name in targets if name not in given]
  problems += [f"left over: {name}" for name in given if name not in targets]
  values = {}
  for name, (variable, transposed) in targets.items():
    if name not in given:
      continue
    value = np.asarray(given[name])
    values[name] = value.T if transposed else value
    if values[name].shape != tuple(variable.shape):
      expected = tuple(variable.shape)[::-1] if transposed else tuple(variable.shape)
      problems.append(f"wrong shape: {name}: found {value.shape}, allowed: {expected}")
  if problems:
    raise ValueError("the reference's weights do not fit the model:\n  " + "\n  ".join(problems))
  for name, value in values.items():
    targets[name][0].assign(value)


def _targets(model: keras.Model) -> Iterator[Target]:
  for layer in model.layers:
    if isinstance(layer, DoubleNormLog):
      if layer.batch_norm is not None:
        yield from _batch_norm(layer.batch_norm, "_preprocessor._before_concat_layers.2.layer")
      if layer.layer_norm is not None:
        yield from _layer_norm(layer.layer_norm, "_preprocessor.layer_norm.layer")
    elif isinstance(layer, EmbeddingNorm):
      name = layer.name[: -len("_norm")]
      yield from _layer_norm(layer.layer_norm, f"_{name}_layer_norm")
    elif layer.name == "backbone":
      yield from _architecture(layer, "_backbone")
    elif isinstance(layer, Tower):
      yield from _tower(layer)


def _tower(tower: Tower) -> Iterator[Target]:
  task = tower.name[len(_TOWER) :].replace(".", "__")
  yield from _architecture(tower.body, f"_towers.{task}")
  if tower.affine_map is not None:
    yield f"_affine_maps.{task}.weight", tower.affine_map.scale, False
    yield f"_affine_maps.{task}.bias", tower.affine_map.bias, False


def _architecture(layer: keras.layers.Layer, prefix: str) -> Iterator[Target]:
  if isinstance(layer, Mlp):
    yield from _mlp(layer, prefix)
  elif isinstance(layer, MaskNet):
    yield from _mask_net(layer, prefix)


def _mask_net(mask_net: MaskNet, prefix: str) -> Iterator[Target]:
  for index, block in enumerate(mask_net.blocks):
    block_prefix = f"{prefix}._mask_blocks.{index}"
    yield from _dense(block.aggregation, f"{block_prefix}._mask_layer.0")
    yield from _dense(block.mask, f"{block_prefix}._mask_layer.2")
    yield from _dense(block.hidden, f"{block_prefix}._hidden_layer")
    yield from _layer_norm(block.output_norm, f"{block_prefix}._layer_norm")
    if block.input_norm is not None:
      yield from _layer_norm(block.input_norm, f"{block_prefix}._input_layer_norm")
  if mask_net.mlp is not None:
    yield from _mlp(mask_net.mlp, f"{prefix}._dense_layers")


def _mlp(mlp: Mlp, prefix: str) -> Iterator[Target]:
  # PyTorch numbers the modules of a Sequential: dense, [batch norm], ReLU, [dropout], dense ...
  step = 2 + (mlp.config.batch_norm is not None) + (mlp.config.dropout is not None)
  for index, layer in enumerate(mlp.dense_layers):
    yield from _dense(layer, f"{prefix}.layers.{index * step}")
  for index, norm in enumerate(mlp.batch_norms):
    if norm is not None:
      yield from _batch_norm(norm, f"{prefix}.layers.{index * step + 1}")


def _dense(layer: keras.layers.Dense, prefix: str) -> Iterator[Target]:
  yield f"{prefix}.weight", layer.kernel, True
  yield f"{prefix}.bias", layer.bias, False


def _layer_norm(layer: LayerNormalization, prefix: str) -> Iterator[Target]:
  if layer.gamma is not None:
    yield f"{prefix}.weight", layer.gamma, False
  if layer.beta is not None:
    yield f"{prefix}.bias", layer.beta, False


def _batch_norm(layer: BatchNormalization, prefix: str) -> Iterator[Target]:
  if layer.gamma is not None:
    yield f"{prefix}.weight", layer.gamma, False
    yield f"{prefix}.bias", layer.beta, False
  yield f"{prefix}.running_mean", layer.moving_mean, False
  yield f"{prefix}.running_var", layer.moving_variance, False

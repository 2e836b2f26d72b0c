"""A ranker without the batch norms of its MLPs: dense layers do their work, too."""

import re
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import pydantic
import tf_keras as keras

from heavy_ranker.calibration.curves import FittedCalibration
from heavy_ranker.checkpoints import weights_by_name
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.model import MlpConfig
from heavy_ranker.layers.batch_normalization import EPSILON
from heavy_ranker.model import build_model

_DENSE = re.compile(r"(?P<mlp>.*)/dense_(?P<index>\d+)/(?P<weight>kernel|bias)")


def fold_batch_norms(
  config: HeavyRankerConfig,
  ranker: keras.Model,
  calibration: Optional[FittedCalibration] = None,
  input_widths: Optional[Mapping[str, int]] = None,
) -> keras.Model:
  """Returns a ranker that does outside training what the given one does, in fewer operations.

  With a batch norm's mean m, its factor f = gamma / sqrt(variance + 1e-5) and its offset beta,
  ((x W + b) - m) f + beta is x (W f) + ((b - m) f + beta). The ten production towers have 20 such
  norms, which is more than a tenth of the time of a single candidate. Only MLPs are changed; the
  norm of the features stays, since no product comes before it.

  Args:
    config: the whole configuration.
    ranker: the model from `build_model`, with its weights, which are copied.
    calibration: the one it was built with.
    input_widths: those it was built with.
  """
  section = _without_batch_norms(config.model)
  if section.model_dump() == config.model.model_dump():
    return ranker
  config = config.model_copy(update={"model": section})
  folded = build_model(config, input_widths, calibration, weights_follow=True)
  weights = {name: weight.numpy() for name, weight in weights_by_name(ranker).items()}
  for name, weight in weights_by_name(folded).items():
    weight.assign(_folded(name, weights))
  return folded


def _without_batch_norms(section: Any) -> Any:
  """Returns a part of the configuration in which no MLP has a `batch_norm`."""
  if isinstance(section, MlpConfig):
    return section.model_copy(update={"batch_norm": None})
  if isinstance(section, pydantic.BaseModel):
    return section.model_copy(update=_without_batch_norms(dict(section)))
  if isinstance(section, dict):
    return {name: _without_batch_norms(each) for name, each in section.items()}
  return [_without_batch_norms(each) for each in section] if isinstance(section, list) else section


def _folded(name: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns a weight of the ranker without batch norms, rounded once."""
  match = _DENSE.fullmatch(name)
  norm = f"{match['mlp']}/batch_norm_{match['index']}/" if match else ""
  if f"{norm}moving_mean" not in weights:
    return weights[name]
  variance = weights[f"{norm}moving_variance"].astype(np.float64)
  factor = weights.get(f"{norm}gamma", 1.0) / np.sqrt(variance + EPSILON)
  if match["weight"] == "kernel":
    return (weights[name] * factor).astype(np.float32)
  shifted = (weights[name] - weights[f"{norm}moving_mean"].astype(np.float64)) * factor
  return (shifted + weights.get(f"{norm}beta", 0.0)).astype(np.float32)

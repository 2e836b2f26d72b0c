"""A model that nobody trained, exported, with its warmup requests."""

from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from heavy_ranker import build_model
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.serving.signatures import ServingModule
from heavy_ranker.serving.warmup import write_warmup_requests


def make_module(config: HeavyRankerConfig) -> ServingModule:
  """Returns what an export holds, with initial weights; scores lie apart."""
  keras.utils.set_random_seed(1)
  ranker = build_model(config)
  for variable in ranker.trainable_variables:
    if variable.shape.rank == 1:
      variable.assign(tf.random.normal(variable.shape, 0.5, 0.3))
  return ServingModule(config, ranker)


def save_module(config: HeavyRankerConfig, folder: Path) -> ServingModule:
  """Writes it to `folder`."""
  module = make_module(config)
  tf.saved_model.save(module, str(folder), signatures=module.functions())
  write_warmup_requests(config, module, str(folder))
  return module

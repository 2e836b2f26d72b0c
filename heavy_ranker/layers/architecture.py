"""From an architecture's configuration to its layer; backbone and towers share it."""

import tf_keras as keras

from heavy_ranker.config.model import TaskModelConfig
from heavy_ranker.layers.mask_net import MaskNet
from heavy_ranker.layers.mlp import Mlp


def make_architecture(
  config: TaskModelConfig, seed: int, synchronize_batch_norm: bool, name: str
) -> keras.layers.Layer:
  """Returns the layer a configuration asks for, [batch, width] to [batch, width].

  Args:
    config: exactly one of its architectures is set.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.
  """
  if config.mask_net_config is not None:
    return MaskNet(config.mask_net_config, seed, synchronize_batch_norm, name=name)
  return Mlp(config.mlp_config, seed, synchronize_batch_norm, name=name)

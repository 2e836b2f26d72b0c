"""From an architecture's configuration to its layer; backbone, experts and towers share it."""

from typing import Union

import tf_keras as keras

from heavy_ranker.config.model import ExpertConfig, TaskModelConfig
from heavy_ranker.layers.deep_cross_net import DeepCrossNet
from heavy_ranker.layers.dlrm import Dlrm
from heavy_ranker.layers.mask_net import MaskNet
from heavy_ranker.layers.mlp import Mlp


def make_architecture(
  config: Union[TaskModelConfig, ExpertConfig], seed: int, synchronize_batch_norm: bool, name: str
) -> keras.layers.Layer:
  """Returns the layer a configuration asks for, [batch, width] to [batch, width].

  A Dlrm takes the dense features and the embeddings as a list instead, see `takes_parts`.

  Args:
    config: exactly one of its architectures is set.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.
  """
  if config.dcn_config is not None:
    return DeepCrossNet(config.dcn_config, seed, synchronize_batch_norm, name=name)
  if config.mask_net_config is not None:
    return MaskNet(config.mask_net_config, seed, synchronize_batch_norm, name=name)
  if config.mlp_config is not None:
    return Mlp(config.mlp_config, seed, synchronize_batch_norm, name=name)
  return Dlrm(config.dlrm_config, seed, synchronize_batch_norm, name=name)


def takes_parts(config: TaskModelConfig) -> bool:
  """Tells whether the architecture wants dense features and embeddings apart, as DLRM does."""
  return config.dlrm_config is not None

"""The part of the network that the towers stand on."""

from collections.abc import Sequence

import tf_keras as keras

from heavy_ranker.config.model import BackboneConfig
from heavy_ranker.layers.architecture import make_architecture
from heavy_ranker.layers.layered_extraction import LayeredExtraction
from heavy_ranker.layers.mixture_of_experts import MixtureOfExperts


def make_backbone(
  config: BackboneConfig,
  tasks: Sequence[str],
  seed: int,
  synchronize_batch_norm: bool,
  name: str,
) -> keras.layers.Layer:
  """Returns the backbone's layer.

  It puts out one [batch, width] for all towers, or [batch, tasks, width] with a mixture of
  experts for each, see `mixes_for_each_task`.

  Args:
    config: exactly one of its architectures is set.
    tasks: the tasks in the model's order.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.
  """
  if config.mmoe_config is not None:
    return MixtureOfExperts(config.mmoe_config, tasks, seed, synchronize_batch_norm, name=name)
  if config.ple_config is not None:
    return LayeredExtraction(config.ple_config, tasks, seed, synchronize_batch_norm, name=name)
  return make_architecture(config, seed, synchronize_batch_norm, name)


def mixes_for_each_task(config: BackboneConfig) -> bool:
  """Tells whether each task gets an output of its own from the backbone."""
  return config.mmoe_config is not None or config.ple_config is not None

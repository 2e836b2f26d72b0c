"""Tests of `heavy_ranker.layers.architecture`."""

import numpy as np

from heavy_ranker.config.model import TaskModelConfig
from heavy_ranker.layers.architecture import make_architecture
from heavy_ranker.layers.mask_net import MaskNet
from heavy_ranker.layers.mlp import Mlp

INPUTS = np.ones([2, 5], np.float32)


def test_makes_what_the_configuration_sets():
  mlp = TaskModelConfig(mlp_config={"layer_sizes": [3, 2]})
  layer = make_architecture(mlp, 0, True, "some_name")
  assert isinstance(layer, Mlp)
  assert layer.name == "some_name"
  assert layer(INPUTS).shape == (2, 2)

  blocks = {"mask_blocks": [{"output_size": 3, "aggregation_size": 2}] * 2, "use_parallel": True}
  layer = make_architecture(TaskModelConfig(mask_net_config=blocks), 0, True, "other_name")
  assert isinstance(layer, MaskNet)
  assert layer.name == "other_name"
  assert layer(INPUTS).shape == (2, 6)


def test_the_seed_reaches_the_kernels():
  config = TaskModelConfig(mlp_config={"layer_sizes": [3]})
  kernels = []
  for seed in (1, 1, 2):
    layer = make_architecture(config, seed, True, "name")
    layer(INPUTS)
    kernels.append(layer.dense_layers[0].kernel.numpy())
  np.testing.assert_array_equal(kernels[0], kernels[1])
  assert (kernels[0] != kernels[2]).all()

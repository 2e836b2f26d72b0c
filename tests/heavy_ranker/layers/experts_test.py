"""Tests of `heavy_ranker.layers.experts`."""

import numpy as np
import pytest

from heavy_ranker.config.model import ExpertConfig
from heavy_ranker.layers.experts import Experts
from tests.heavy_ranker import layer_helpers

INPUTS = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
MLP = {"layer_sizes": [6, 4], "batch_norm": {"affine": True}}
CONFIGS = {
  "mlp": ({"mlp_config": MLP}, 4),
  "dcn": ({"dcn_config": {"poly_degree": 2}}, 5),
  "mask_net": (
    {"mask_net_config": {"mask_blocks": [{"output_size": 3, "aggregation_size": 2}]}},
    3,
  ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_puts_the_outputs_side_by_side(name):
  config, width = CONFIGS[name]
  layer = Experts(ExpertConfig(**config), 3, 0, True, "experts")
  outputs = layer_helpers.run(layer, INPUTS)
  assert outputs.shape == (9, 3, width)
  for index, expert in enumerate(layer.experts):
    np.testing.assert_allclose(outputs[:, index], expert(INPUTS), rtol=1e-5, atol=1e-6)


def test_experts_start_differently_and_the_same_at_every_start():
  def kernels(seed):
    layer = Experts(ExpertConfig(mlp_config={"layer_sizes": [4]}), 2, seed, True, "experts")
    layer(INPUTS)
    return [expert.dense_layers[0].kernel.numpy() for expert in layer.experts]

  first, again, other = kernels(1), kernels(1), kernels(2)
  np.testing.assert_array_equal(first, again)
  assert (first[0] != first[1]).all()
  assert (first[0] != other[0]).all()


def test_training_moves_the_running_statistics():
  layer = Experts(ExpertConfig(mlp_config=MLP), 2, 0, True, "experts")
  layer_helpers.run(layer, INPUTS, training=True)
  for expert in layer.experts:
    assert np.abs(expert.batch_norms[0].moving_mean).max() > 0

"""Tests of `heavy_ranker.layers.tower`."""

import re

import numpy as np
import pytest

from heavy_ranker.config.model import TaskModelConfig
from heavy_ranker.layers.tower import Tower, tower_name
from tests.heavy_ranker import layer_helpers, numpy_twins

MLP = {"layer_sizes": [6, 4, 1], "batch_norm": {"affine": False, "momentum": 0.1}}
BLOCK = {"output_size": 3, "aggregation_size": 2}


@pytest.fixture(name="inputs")
def inputs_fixture():
  return np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)


def make(inputs, randomize=True, **config):
  tower = Tower(TaskModelConfig(**config), 0, True, "tower.task")
  tower(inputs)
  if randomize:
    layer_helpers.randomize(tower)
  return tower


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine_map", [None, {"scale": 1.5, "bias": -0.25}])
def test_mlp_tower_equals_numpy(inputs, affine_map, training):
  tower = make(inputs, mlp_config=MLP, affine_map=affine_map)
  expected = numpy_twins.mlp(inputs, layer_helpers.mlp_weights(tower.body), training=training)
  if affine_map:
    scale, bias = tower.affine_map.scale.numpy()[0, 0], tower.affine_map.bias.numpy()[0]
    expected = numpy_twins.affine_map(expected, scale, bias)
  outputs = layer_helpers.run(tower, inputs, training=training)
  assert outputs.shape == (9, 1)
  np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_affine_map_starts_as_configured(inputs):
  plain = make(inputs, randomize=False, mlp_config=MLP)
  mapped = make(inputs, randomize=False, mlp_config=MLP, affine_map={"scale": 3.0, "bias": 2.0})
  np.testing.assert_allclose(mapped(inputs), 3 * plain(inputs).numpy() + 2, rtol=1e-5)


def test_mask_net_tower_equals_numpy(inputs):
  section = {"mask_blocks": [BLOCK, BLOCK], "use_parallel": True, "mlp": {"layer_sizes": [1]}}
  tower = make(inputs, mask_net_config=section)
  blocks = [layer_helpers.mask_block_weights(block) for block in tower.body.blocks]
  weights = layer_helpers.mlp_weights(tower.body.mlp)
  expected = numpy_twins.mask_net(inputs, blocks, True, weights)
  np.testing.assert_allclose(layer_helpers.run(tower, inputs), expected, atol=2e-5)


def test_refuses_more_than_one_logit(inputs):
  section = {"mask_blocks": [BLOCK], "use_parallel": True}
  with pytest.raises(ValueError, match=r"tower\.task: the tower ends in 3 units, allowed: 1"):
    make(inputs, mask_net_config=section)


@pytest.mark.parametrize(
  "task, name",
  [
    ("recap.engagement.is_replied", "tower.recap.engagement.is_replied"),
    ("my task/ä", "tower.my_task__"),
    ("UPPER-1", "tower.UPPER-1"),
  ],
)
def test_tower_name_is_one_that_keras_takes(task, name):
  assert tower_name(task) == name
  assert re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*", name)

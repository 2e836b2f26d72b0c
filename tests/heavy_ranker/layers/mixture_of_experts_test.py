"""Tests of `heavy_ranker.layers.mixture_of_experts`."""

import numpy as np
import pytest

from heavy_ranker.config.model import MmoeConfig
from heavy_ranker.layers.mixture_of_experts import MixtureOfExperts
from tests.heavy_ranker import layer_helpers, numpy_twins

TASKS = ["likes", "area.replies", "reports"]
INPUTS = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
EXPERT = {"mlp_config": {"layer_sizes": [6, 4], "final_layer_activation": True}}


def make(num_experts=3, gate_layer_sizes=()):
  config = MmoeConfig(
    num_experts=num_experts, expert=EXPERT, gate_layer_sizes=list(gate_layer_sizes)
  )
  layer = MixtureOfExperts(config, TASKS, seed=1)
  layer(INPUTS)
  return layer


@pytest.mark.parametrize("num_experts", [1, 3])
@pytest.mark.parametrize("gate_layer_sizes", [(), (4,)])
def test_equals_numpy(num_experts, gate_layer_sizes):
  layer = make(num_experts, gate_layer_sizes)
  layer_helpers.randomize(layer)
  outputs = layer_helpers.run(layer, INPUTS)
  assert outputs.shape == (9, 3, 4)
  expected = numpy_twins.mixture_of_experts(
    INPUTS.astype(np.float64),
    layer_helpers.mlp_experts(layer.experts),
    layer_helpers.gate_weights(layer.gates),
  )
  np.testing.assert_allclose(outputs, np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_every_weight_has_a_gradient_and_a_task_reaches_its_own_gate_only():
  layer = make()
  found, _ = layer_helpers.gradients(layer, INPUTS)
  assert len(found) == 1 + len(layer.trainable_variables)
  assert all(np.abs(gradient).max() > 0 for gradient in found)
  before = layer(INPUTS).numpy()
  layer.gates.biases[0][1].assign([5.0, 0.0, 0.0])
  changed = np.abs(layer(INPUTS).numpy() - before).max(axis=(0, 2)) > 0
  assert changed.tolist() == [False, True, False]

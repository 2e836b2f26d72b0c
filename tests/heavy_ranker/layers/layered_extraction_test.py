"""Tests of `heavy_ranker.layers.layered_extraction`."""

import numpy as np
import pytest

from heavy_ranker.config.model import PleConfig
from heavy_ranker.layers.layered_extraction import LayeredExtraction
from tests.heavy_ranker import layer_helpers, numpy_twins

TASKS = ["likes", "area.replies", "shared"]
INPUTS = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
EXPERT = {"mlp_config": {"layer_sizes": [6, 4], "final_layer_activation": True}}


def make(num_levels=2, tasks=tuple(TASKS), **options):
  options = {"num_shared_experts": 2, "num_task_experts": 1, "expert": EXPERT, **options}
  layer = LayeredExtraction(PleConfig(num_levels=num_levels, **options), tasks, seed=1)
  layer(INPUTS)
  return layer


def weights_of(level):
  shared_gate = level.shared_gate and layer_helpers.gate_weights(level.shared_gate)[0]
  return {
    "own": [layer_helpers.mlp_experts(experts) for experts in level.task_experts],
    "shared": layer_helpers.mlp_experts(level.shared_experts),
    "gates": layer_helpers.gate_weights(level.task_gates),
    "shared_gate": shared_gate,
  }


@pytest.mark.parametrize("num_levels", [1, 2, 3])
@pytest.mark.parametrize(
  "options",
  [{}, {"gate_layer_sizes": [3], "num_task_experts": 3, "num_shared_experts": 1}],
  ids=["plain", "hidden_gates"],
)
def test_equals_numpy(num_levels, options):
  layer = make(num_levels, **options)
  layer_helpers.randomize(layer)
  outputs = layer_helpers.run(layer, INPUTS)
  assert outputs.shape == (9, 3, 4)
  levels = [weights_of(level) for level in layer.levels]
  assert [level["shared_gate"] is None for level in levels] == [False] * (num_levels - 1) + [True]
  expected = numpy_twins.layered_extraction(INPUTS.astype(np.float64), levels)
  np.testing.assert_allclose(outputs, np.stack(expected, axis=1), rtol=1e-4, atol=1e-4)


def test_works_with_one_task():
  layer = make(tasks=["only"])
  assert layer_helpers.run(layer, INPUTS).shape == (9, 1, 4)


def test_no_weight_is_dead():
  layer = make(3)
  layer_helpers.randomize(layer)
  found, _ = layer_helpers.gradients(layer, INPUTS)
  assert len(found) == 1 + len(layer.trainable_variables)
  for variable, gradient in zip(layer.trainable_variables, found[1:]):
    assert np.abs(gradient).max() > 0, variable.name


def test_in_the_last_level_a_tasks_experts_matter_to_it_alone():
  layer = make()
  before = layer(INPUTS).numpy()
  for level, touched in ((1, [False, True, False]), (0, [True, True, True])):
    bias = layer.levels[level].task_experts[1].experts[0].dense_layers[-1].bias
    bias.assign_add([2.0] * 4)
    assert (np.abs(layer(INPUTS).numpy() - before).max(axis=(0, 2)) > 0).tolist() == touched
    bias.assign_sub([2.0] * 4)


def test_initial_weights_of_a_task_do_not_depend_on_the_other_tasks():
  def kernels(tasks):
    names_and_values = {v.name: v.numpy() for v in make(tasks=tasks).variables}
    return {name: x for name, x in names_and_values.items() if "likes/" in name and "kern" in name}

  few, many = kernels(["likes", "b"]), kernels(["a", "likes", "b", "c"])
  assert len(few) == 2 * (2 + 1)
  assert few.keys() == many.keys()
  for name, values in few.items():
    np.testing.assert_array_equal(values, many[name])


def test_all_experts_and_gates_start_differently():
  values = [v.numpy().ravel()[0] for v in make().variables if "kernel" in v.name]
  assert len(set(values)) == len(values)

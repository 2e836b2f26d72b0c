"""Tests of `heavy_ranker.layers.gates`."""

import numpy as np
import pytest

from heavy_ranker.layers.gates import Gates
from tests.heavy_ranker import layer_helpers, numpy_twins

NAMES = ["gate.a", "gate.b", "gate.c"]
SHARED = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
ONE_EACH = np.random.default_rng(1).normal(size=(9, 3, 5)).astype(np.float32)


def make(hidden_sizes, inputs, names=tuple(NAMES), seed=0):
  gates = Gates(names, hidden_sizes, 4, seed, "gates")
  gates(inputs)
  return gates


@pytest.mark.parametrize("hidden_sizes", [[], [6], [6, 2]], ids=str)
@pytest.mark.parametrize("inputs", [SHARED, ONE_EACH], ids=["shared", "one_each"])
def test_equal_numpy(inputs, hidden_sizes):
  gates = make(hidden_sizes, inputs)
  layer_helpers.randomize(gates)
  outputs = layer_helpers.run(gates, inputs)
  assert outputs.shape == (9, 3, 4)
  np.testing.assert_allclose(outputs.sum(axis=2), 1.0, rtol=1e-6)
  for index, weights in enumerate(layer_helpers.gate_weights(gates)):
    read = inputs if inputs.ndim == 2 else inputs[:, index]
    expected = numpy_twins.gate(read.astype(np.float64), weights)
    np.testing.assert_allclose(outputs[:, index], expected, rtol=1e-4, atol=1e-6)


def test_initial_weights_depend_on_seed_and_name_only():
  first, other_seed = make([6], SHARED), make([6], SHARED, seed=1)
  more = make([6], SHARED, names=["gate.new", *reversed(NAMES)])
  weights, of_more = layer_helpers.gate_weights(first), layer_helpers.gate_weights(more)
  for one, other in zip(weights, reversed(of_more)):
    for layer, other_layer in zip(one, other):
      np.testing.assert_array_equal(layer["kernel"], other_layer["kernel"])
      assert not layer["bias"].any()
  assert (weights[0][0]["kernel"] != weights[1][0]["kernel"]).all()
  assert (weights[0][0]["kernel"] != layer_helpers.gate_weights(other_seed)[0][0]["kernel"]).all()
  limit = np.sqrt(6 / (5 + 6))
  assert 0.8 * limit < np.abs([w[0]["kernel"] for w in weights]).max() <= limit


def test_weights_have_the_gates_names():
  names = [variable.name for variable in make([6], SHARED).variables]
  assert "gates/gate.b/dense_1/kernel:0" in names
  assert len(set(names)) == 3 * 2 * 2


def test_huge_inputs_leave_the_weights_finite():
  gates = make([], SHARED)
  outputs = gates(SHARED * 1e30).numpy()
  np.testing.assert_allclose(outputs.sum(axis=2), 1.0, rtol=1e-6)

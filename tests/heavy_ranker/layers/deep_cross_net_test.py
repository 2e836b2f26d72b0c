"""Tests of `heavy_ranker.layers.deep_cross_net`."""

import numpy as np
import pytest

from heavy_ranker.config.model import DcnConfig
from heavy_ranker.layers.deep_cross_net import DeepCrossNet
from tests.heavy_ranker import layer_helpers, numpy_twins

MLP = {"layer_sizes": [6, 3], "final_layer_activation": True}


@pytest.fixture(name="inputs")
def inputs_fixture():
  return np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)


def make(inputs, seed=0, **config):
  layer = DeepCrossNet(DcnConfig(**config), seed)
  layer(inputs)
  return layer


def cross_weights(layer):
  """The dense factors of each cross layer, told apart by the order Keras made them in."""
  weights = []
  for cross in layer.cross_layers:
    kernels = [layer_helpers.float64(v) for v in cross.variables if "kernel" in v.name]
    factors = [{"kernel": kernel} for kernel in kernels]
    (bias,) = (layer_helpers.float64(v) for v in cross.variables if "bias" in v.name)
    factors[-1]["bias"] = bias
    weights.append(factors)
  return weights


@pytest.mark.parametrize("projection_dim", [None, 2])
@pytest.mark.parametrize("poly_degree", [1, 3])
def test_cross_layers_equal_numpy(inputs, poly_degree, projection_dim):
  layer = make(inputs, poly_degree=poly_degree, projection_dim=projection_dim)
  layer_helpers.randomize(layer)
  outputs = layer_helpers.run(layer, inputs)
  expected = numpy_twins.cross_net(inputs.astype(np.float64), cross_weights(layer))
  assert outputs.shape == inputs.shape
  np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_parallel_mlp_reads_the_input(inputs, training):
  layer = make(inputs, poly_degree=2, parallel_mlp=MLP, use_parallel=True, output_mlp=MLP)
  layer_helpers.randomize(layer)
  crossed = numpy_twins.cross_net(inputs.astype(np.float64), cross_weights(layer))
  deep = numpy_twins.mlp(inputs, layer_helpers.mlp_weights(layer.deep_mlp), True)
  joined = np.concatenate([crossed, deep], axis=1)
  expected = numpy_twins.mlp(joined, layer_helpers.mlp_weights(layer.output_mlp), True)
  outputs = layer_helpers.run(layer, inputs, training=training)
  np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_stacked_mlp_reads_what_the_cross_layers_put_out(inputs):
  layer = make(inputs, poly_degree=2, parallel_mlp=MLP)
  layer_helpers.randomize(layer)
  crossed = numpy_twins.cross_net(inputs.astype(np.float64), cross_weights(layer))
  expected = numpy_twins.mlp(crossed, layer_helpers.mlp_weights(layer.deep_mlp), True)
  np.testing.assert_allclose(layer_helpers.run(layer, inputs), expected, rtol=1e-4, atol=1e-4)


def test_the_seed_decides_the_initial_weights(inputs):
  same, again, other = (make(inputs, seed=seed, poly_degree=2) for seed in (1, 1, 2))
  kernels = [[v.numpy() for v in layer.variables if "kernel" in v.name] for layer in (same, again)]
  np.testing.assert_array_equal(kernels[0], kernels[1])
  assert not np.array_equal(kernels[0][0], kernels[0][1]), "layers of one net differ"
  assert not np.array_equal(kernels[0][0], other.variables[0].numpy())

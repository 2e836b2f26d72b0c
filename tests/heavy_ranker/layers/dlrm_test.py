"""Tests of `heavy_ranker.layers.dlrm`."""

import numpy as np
import pytest

from heavy_ranker.config.model import DlrmConfig
from heavy_ranker.layers.dlrm import Dlrm
from tests.heavy_ranker import layer_helpers, numpy_twins

BATCH_NORM = {"affine": False, "momentum": 0.1}


def make(inputs, seed=0):
  config = DlrmConfig(
    bottom_mlp={"layer_sizes": [5, 4]},
    top_mlp={"layer_sizes": [6, 2], "batch_norm": BATCH_NORM, "final_layer_activation": True},
  )
  layer = Dlrm(config, seed)
  layer(inputs)
  return layer


def make_inputs(embeddings):
  random = np.random.default_rng(0)
  widths = [7, *[4] * embeddings]
  return [random.normal(size=(9, width)).astype(np.float32) for width in widths]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("embeddings", [1, 3])
def test_equals_numpy(embeddings, training):
  inputs = make_inputs(embeddings)
  layer = make(inputs)
  layer_helpers.randomize(layer)
  expected = numpy_twins.dlrm(
    [part.astype(np.float64) for part in inputs],
    layer_helpers.mlp_weights(layer.bottom_mlp),
    layer_helpers.mlp_weights(layer.top_mlp),
    final_activation=True,
    training=training,
  )
  outputs = layer_helpers.run(layer, inputs, training=training)
  assert outputs.shape == (9, 2)
  np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_the_top_mlp_sees_each_pair_once():
  layer = make(make_inputs(embeddings=3))
  # The bottom MLP's 4 outputs, and 4 vectors in 6 pairs.
  assert layer.top_mlp.dense_layers[0].kernel.shape == (4 + 6, 6)


def test_the_seed_decides_the_initial_weights():
  same, again, other = (make(make_inputs(2), seed) for seed in (1, 1, 2))
  for left, right in zip(same.variables, again.variables):
    np.testing.assert_array_equal(left, right)
  assert not np.array_equal(same.variables[0], other.variables[0])

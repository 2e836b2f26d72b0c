"""Tests of `heavy_ranker.layers.mlp`."""

import numpy as np
import pytest

from heavy_ranker.config.model import MlpConfig
from heavy_ranker.layers.mlp import Mlp
from tests.heavy_ranker import layer_helpers, numpy_twins

BATCH_NORM = {"affine": False, "momentum": 0.1}


@pytest.fixture(name="inputs")
def inputs_fixture():
  return np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)


def make(config, seed=0, randomize=True):
  layer = Mlp(MlpConfig(**config), seed)
  layer(np.zeros([2, 5], np.float32))
  if randomize:
    layer_helpers.randomize(layer)
  return layer


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize(
  "options",
  [
    {},
    {"batch_norm": BATCH_NORM},
    {"batch_norm": {"affine": True, "momentum": 0.3}},
    {"dropout": {"rate": 0.0}},
    {"batch_norm": BATCH_NORM, "dropout": {"rate": 0.0}},
  ],
  ids=["plain", "norm", "affine_norm", "dropout", "norm_and_dropout"],
)
@pytest.mark.parametrize("sizes", [[1], [4], [6, 1], [6, 3, 2]], ids=str)
def test_equals_numpy(inputs, sizes, options, final, training):
  layer = make({"layer_sizes": sizes, "final_layer_activation": final, **options})
  expected = numpy_twins.mlp(inputs, layer_helpers.mlp_weights(layer), final, training)
  outputs = layer_helpers.run(layer, inputs, training=training)
  assert outputs.shape == (9, sizes[-1])
  np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_the_last_layer_has_neither_norm_nor_dropout_nor_by_default_an_activation(inputs):
  config = {"layer_sizes": [3], "batch_norm": BATCH_NORM, "dropout": {"rate": 0.9}}
  layer = make(config)
  assert layer.batch_norms == []
  assert len(layer.variables) == 2
  outputs = layer(inputs, training=True).numpy()
  assert (outputs < 0).any()
  np.testing.assert_array_equal(outputs, layer(inputs, training=False))


def test_dropout_acts_after_the_activation_of_every_layer_but_the_last(inputs):
  layer = make({"layer_sizes": [200, 200, 3], "dropout": {"rate": 0.5}}, randomize=False)
  for dense in layer.dense_layers[:2]:
    dense.kernel.assign(np.zeros(dense.kernel.shape))
    dense.bias.assign(np.ones(200))
  layer.dense_layers[1].kernel.assign(np.eye(200))
  layer.dense_layers[2].kernel.assign(np.full([200, 3], 1 / 200))
  outputs = layer(inputs, training=True).numpy()
  # Each unit is 1 + (0 or 2), and that 0 or twice as much: 2 in the mean.
  assert (outputs[:, 0] != 2).all()
  assert np.std(outputs[:, 0]) > 0.01
  np.testing.assert_allclose(outputs.mean(), 2.0, atol=0.3)
  np.testing.assert_allclose(layer(inputs), 2.0, atol=1e-5)


def test_the_dropouts_of_two_layers_draw_different_masks():
  layer = make({"layer_sizes": [50, 50, 50], "dropout": {"rate": 0.5}}, randomize=False)
  for dense in layer.dense_layers:
    dense.kernel.assign(np.eye(5, 50) if dense.kernel.shape[0] == 5 else np.eye(50))
  layer.dense_layers[0].bias.assign(np.ones(50))
  zero = np.zeros([20, 5], np.float32)
  # With equal masks the same half would be lost twice, not three quarters.
  share = (layer(zero, training=True).numpy() == 0).mean()
  assert 0.68 < share < 0.82


def test_batch_norm_statistics_move_in_training_only(inputs):
  layer = make({"layer_sizes": [4, 1], "batch_norm": {"affine": True, "momentum": 0.25}})
  (norm,) = layer.batch_norms
  weights = layer_helpers.mlp_weights(layer)[0]
  layer(inputs)
  np.testing.assert_array_equal(norm.moving_mean.numpy(), weights["batch_norm"]["mean"])
  layer(inputs, training=True)
  hidden = numpy_twins.dense(inputs, weights)
  mean, variance = numpy_twins.moved_statistics(hidden, weights["batch_norm"], 0.25)
  np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-5)


def test_layers_of_one_shape_start_differently_and_repeatably():
  first, second = (make({"layer_sizes": [5, 5, 5]}, seed=3, randomize=False) for _ in range(2))
  kernels = [dense.kernel.numpy() for dense in first.dense_layers]
  for index, dense in enumerate(second.dense_layers):
    np.testing.assert_array_equal(dense.kernel, kernels[index])
    assert (kernels[index] != kernels[index - 1]).all()
  other = make({"layer_sizes": [5, 5, 5]}, seed=4, randomize=False)
  assert (other.dense_layers[0].kernel.numpy() != kernels[0]).all()


def test_every_weight_gets_a_gradient(inputs):
  layer = make({"layer_sizes": [6, 4, 2], "batch_norm": {"affine": True, "momentum": 0.1}})
  found, _ = layer_helpers.gradients(layer, inputs, training=True)
  assert len(found) == 1 + 3 * 2 + 2 * 2
  by_name = dict(zip([variable.name for variable in layer.trainable_variables], found[1:]))
  for name, gradient in by_name.items():
    # A bias before a batch norm is subtracted again with the mean.
    fed = "bias" in name and "dense_2" not in name
    assert (np.abs(gradient).max() < 1e-4) == fed, name

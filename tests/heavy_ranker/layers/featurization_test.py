"""Tests of `heavy_ranker.layers.featurization`."""

import numpy as np
import pytest

from heavy_ranker.config.model import DoubleNormLogConfig
from heavy_ranker.layers.featurization import DoubleNormLog
from tests.heavy_ranker import layer_helpers, numpy_twins


@pytest.fixture(name="inputs")
def inputs_fixture():
  random = np.random.default_rng(0)
  continuous = (random.normal(size=(12, 7)) * np.exp(random.normal(0, 4, (12, 7)))).astype("f")
  binary = random.integers(0, 2, (12, 3)).astype(np.float32)
  continuous[1], binary[1] = 0.0, 0.0
  continuous[2, :3] = [np.nan, np.inf, -np.inf]
  continuous[3] = np.nan
  continuous[4] = [3.4e38, -3.4e38] * 3 + [1e-40]
  binary[5] = [1e6, -7, 0.5]
  return [continuous, binary]


def make(inputs, without=(), **config):
  both = {"batch_norm_config": {}, "layer_norm_config": {}, **config}
  given = {key: value for key, value in both.items() if key not in without}
  layer = DoubleNormLog(DoubleNormLogConfig(**given))
  layer(inputs)
  layer_helpers.randomize(layer)
  return layer


def expected_of(layer, inputs, clip, epsilon, training=False):
  norms = [
    norm and layer_helpers.norm_weights(norm) for norm in (layer.batch_norm, layer.layer_norm)
  ]
  return numpy_twins.double_norm_log(inputs, *norms, clip, epsilon, training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
@pytest.mark.parametrize("clip", [0.5, 5.0])
@pytest.mark.parametrize("affine", [True, False])
def test_equals_numpy(inputs, affine, clip, epsilon, training):
  layer = make(
    inputs,
    batch_norm_config={"affine": affine, "momentum": 0.01},
    clip_magnitude=clip,
    layer_norm_config={"epsilon": epsilon},
  )
  outputs = layer_helpers.run(layer, inputs, training=training)
  assert outputs.shape == (12, 10)
  expected = expected_of(layer, inputs, clip, epsilon)
  if training:
    # The step has moved nothing that training reads.
    expected = expected_of(layer, inputs, clip, epsilon, training)
  np.testing.assert_allclose(outputs, expected, atol=2e-5)


@pytest.mark.parametrize("absent", ["batch_norm_config", "layer_norm_config"])
def test_either_norm_may_be_absent(inputs, absent):
  layer = make(inputs, without=[absent])
  assert getattr(layer, absent[: -len("_config")]) is None
  outputs = layer_helpers.run(layer, inputs)
  np.testing.assert_allclose(outputs, expected_of(layer, inputs, 5.0, 0.0), rtol=1e-6, atol=2e-5)


def test_defaults_of_both_norms_are_those_of_production(inputs):
  layer = make(inputs)
  assert layer.batch_norm.gamma is not None
  assert layer.layer_norm.gamma is not None
  assert layer.layer_norm.beta is not None
  np.testing.assert_allclose(
    layer(inputs), expected_of(layer, inputs, clip=5.0, epsilon=0.0), atol=2e-5
  )


def test_center_and_scale_are_the_layer_norms_beta_and_gamma(inputs):
  layer = make(inputs, layer_norm_config={"center": False})
  assert (layer.layer_norm.beta, layer.layer_norm.gamma is None) == (None, False)
  layer = make(inputs, layer_norm_config={"scale": False})
  assert (layer.layer_norm.beta is None, layer.layer_norm.gamma) == (False, None)


def test_momentum_is_the_weight_of_the_new_batch(inputs):
  layer = make(inputs, batch_norm_config={"momentum": 0.01})
  weights = layer_helpers.norm_weights(layer.batch_norm)
  layer(inputs, training=True)
  logs = numpy_twins.signed_log1p(numpy_twins.replace_non_finite(inputs[0]))
  mean, variance = numpy_twins.moved_statistics(logs, weights, 0.01)
  np.testing.assert_allclose(layer.batch_norm.moving_mean, mean, atol=1e-5)
  np.testing.assert_allclose(layer.batch_norm.moving_variance, variance, rtol=1e-5)


def test_what_joins_is_neither_logged_nor_clipped(inputs):
  layer = make(inputs, without=["layer_norm_config"])
  np.testing.assert_array_equal(layer(inputs).numpy()[:, 7:], inputs[1])


def test_only_continuous_or_several_others(inputs):
  continuous, binary = inputs
  for others in ([], [binary, binary[:, :1]]):
    layer = make([continuous, *others])
    outputs = layer_helpers.run(layer, [continuous, *others])
    expected = expected_of(layer, [continuous, *others], 5.0, 0.0)
    np.testing.assert_allclose(outputs, expected, atol=2e-5)


def test_an_all_equal_row_is_finite_in_value_and_gradient(inputs):
  layer = make(inputs, without=["batch_norm_config"])
  rows = [np.zeros_like(inputs[0]), np.zeros_like(inputs[1])]
  outputs = layer(rows).numpy()
  np.testing.assert_array_equal(outputs, np.tile(layer.layer_norm.beta.numpy(), [12, 1]))
  found, _ = layer_helpers.gradients(layer, rows)
  assert all(np.isfinite(gradient).all() for gradient in found)


def test_non_finite_others_count_as_0(inputs):
  layer = make(inputs)
  broken, clean = inputs[1].copy(), inputs[1].copy()
  broken[:3, 0], clean[:3, 0] = [np.nan, np.inf, -np.inf], 0.0
  np.testing.assert_array_equal(layer([inputs[0], broken]), layer([inputs[0], clean]))


def test_gradients_are_finite_for_every_input(inputs):
  layer = make(inputs)
  found, _ = layer_helpers.gradients(layer, inputs, training=True)
  assert len(found) == 2 + 4
  assert all(np.isfinite(gradient).all() for gradient in found)

"""Tests of `heavy_ranker.layers.layer_normalization`."""

import numpy as np
import pytest

from heavy_ranker.layers.layer_normalization import LayerNormalization
from tests.heavy_ranker import layer_helpers, numpy_twins

EPSILONS = (0.0, 1e-5, 0.5)


@pytest.fixture(name="inputs")
def inputs_fixture():
  inputs = np.random.default_rng(0).normal(1.0, 2.0, size=(6, 9)).astype(np.float32)
  inputs[3] *= 1e-4
  inputs[4] *= 1e4
  return inputs


def make(inputs, epsilon, center=True, scale=True):
  layer = LayerNormalization(epsilon, center, scale)
  layer.build(inputs.shape)
  layer_helpers.randomize(layer)
  return layer


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_equals_numpy(inputs, epsilon, center, scale):
  layer = make(inputs, epsilon, center, scale)
  assert (layer.gamma is not None, layer.beta is not None) == (scale, center)
  assert len(layer.trainable_variables) == center + scale
  weights = layer_helpers.norm_weights(layer)
  expected = numpy_twins.layer_normalization(inputs, weights, epsilon)
  np.testing.assert_allclose(layer_helpers.run(layer, inputs), expected, atol=5e-6)


def test_starts_as_plain_normalization(inputs):
  layer = LayerNormalization(0.0)
  outputs = layer(inputs).numpy()
  np.testing.assert_allclose(outputs.mean(axis=1), 0, atol=1e-5)
  np.testing.assert_allclose(outputs.std(axis=1), 1, atol=1e-5)


def test_normalizes_the_last_axis_whatever_the_rank(inputs):
  layer = make(inputs, 0.0)
  outputs = layer_helpers.run(layer, inputs.reshape(2, 3, 9))
  np.testing.assert_allclose(outputs.reshape(6, 9), layer(inputs), atol=1e-6)


@pytest.mark.parametrize(
  "epsilon, value",
  [
    *((epsilon, value) for epsilon in EPSILONS for value in (0.0, 1.0, 0.1, -1 / 3, 1e-30)),
    # With a larger epsilon the rounding error of such a mean would show.
    (0.0, 1e18),
  ],
)
@pytest.mark.parametrize("width", [1, 7, 48, 2776])
def test_a_row_of_equal_values_becomes_beta_and_gets_no_gradient(epsilon, value, width):
  inputs = np.full([2, width], value, np.float32)
  layer = make(inputs, epsilon)
  outputs = layer(inputs).numpy()
  expected = np.broadcast_to(layer.beta.numpy(), outputs.shape)
  np.testing.assert_allclose(outputs, expected, atol=1e-3 if epsilon else 0)
  gradient = layer_helpers.gradients(layer, inputs)[0][0]
  assert np.isfinite(gradient).all()
  if not epsilon:
    np.testing.assert_array_equal(gradient, np.zeros_like(inputs))


def test_rows_of_equal_values_leave_the_other_rows_alone(inputs):
  layer = make(inputs, 0.0)
  mixed = np.concatenate([inputs, np.full([1, 9], 1 / 3, np.float32)])
  np.testing.assert_array_equal(layer(mixed)[:-1], layer(inputs))
  alone, _ = layer_helpers.gradients(layer, inputs)
  together, _ = layer_helpers.gradients(layer, mixed)
  # The same random projection: it is drawn row by row.
  np.testing.assert_allclose(together[0][:-1], alone[0], rtol=1e-5)


@pytest.mark.parametrize("magnitude", [1e18, 1e9, 1.0, 1e-9, 1e-17, 1e-19, 1e-25, 1e-38])
def test_outputs_and_gradients_are_finite_with_epsilon_0(magnitude):
  inputs = np.random.default_rng(0).normal(0.0, 0.3, size=(4, 200)) * magnitude
  inputs = inputs.astype(np.float32)
  layer = make(inputs, 0.0)
  outputs = layer(inputs).numpy()
  assert np.isfinite(outputs).all()
  assert np.abs(outputs).max() < 20
  for gradient in layer_helpers.gradients(layer, inputs)[0]:
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_gradients_equal_differences(inputs, epsilon):
  inputs = inputs[:3]
  layer = make(inputs, epsilon)
  (gradient, gamma_gradient, beta_gradient), projection = layer_helpers.gradients(layer, inputs)
  weights = layer_helpers.norm_weights(layer)

  def total(values):
    return (numpy_twins.layer_normalization(values, weights, epsilon) * projection).sum()

  expected = layer_helpers.differences(total, inputs)
  np.testing.assert_allclose(gradient, expected, atol=1e-4)
  plain = numpy_twins.layer_normalization(inputs, {}, epsilon)
  np.testing.assert_allclose(gamma_gradient, (plain * projection).sum(axis=0), atol=1e-5)
  np.testing.assert_allclose(beta_gradient, projection.sum(axis=0), atol=1e-5)

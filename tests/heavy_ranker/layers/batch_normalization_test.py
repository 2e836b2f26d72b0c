"""Tests of `heavy_ranker.layers.batch_normalization`; several replicas have a test of their own."""

import numpy as np
import pytest

from heavy_ranker.layers.batch_normalization import BatchNormalization
from tests.heavy_ranker import layer_helpers, numpy_twins


@pytest.fixture(name="inputs")
def inputs_fixture():
  random = np.random.default_rng(0)
  return (random.normal(size=(7, 4)) * [1, 10, 0.01, 0] + [0, 3, -1, 2]).astype(np.float32)


def make(momentum=0.1, affine=True):
  layer = BatchNormalization(momentum, affine)
  layer.build([None, 4])
  layer_helpers.randomize(layer)
  return layer


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_equals_numpy(inputs, affine, training):
  layer = make(affine=affine)
  weights = layer_helpers.norm_weights(layer)
  expected = numpy_twins.batch_normalization(inputs, weights, training)
  outputs = layer_helpers.run(layer, inputs, training=training)
  np.testing.assert_allclose(outputs, expected, atol=2e-5)


@pytest.mark.parametrize("momentum", [0.01, 0.1, 1.0])
def test_running_statistics_move_towards_mean_and_unbiased_variance(inputs, momentum):
  layer = make(momentum)
  for part in (inputs, inputs[:3] + 1, inputs[2:] * 2):
    weights = layer_helpers.norm_weights(layer)
    mean, variance = numpy_twins.moved_statistics(part, weights, momentum)
    layer(part, training=True)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=5e-6, atol=1e-6)


def test_running_statistics_move_once_a_step_in_a_function(inputs):
  layer = make()
  weights = layer_helpers.norm_weights(layer)
  layer_helpers.run(layer, inputs, training=True)
  mean, _ = numpy_twins.moved_statistics(inputs, weights, 0.1)
  np.testing.assert_allclose(layer.moving_mean, mean, rtol=2e-6, atol=2e-6)


def test_starts_with_mean_0_and_variance_1():
  layer = BatchNormalization(0.1)
  layer.build([None, 3])
  np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))
  np.testing.assert_array_equal(layer.moving_variance, np.ones(3))
  np.testing.assert_array_equal(layer.gamma, np.ones(3))
  np.testing.assert_array_equal(layer.beta, np.zeros(3))


def test_inference_leaves_the_running_statistics_alone(inputs):
  layer = make()
  before = [variable.numpy() for variable in layer.variables]
  layer(inputs)
  for variable, value in zip(layer.variables, before):
    np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("affine", [True, False])
def test_only_scale_and_offset_are_trained(affine):
  layer = make(affine=affine)
  assert len(layer.trainable_variables) == (2 if affine else 0)
  assert len(layer.non_trainable_variables) == 2
  assert (layer.gamma is not None) == (layer.beta is not None) == affine


def test_a_batch_of_one_is_finite(inputs):
  layer = make()
  outputs = layer(inputs[:1], training=True).numpy()
  np.testing.assert_allclose(outputs[0], layer.beta, atol=1e-6)
  assert all(np.isfinite(variable.numpy()).all() for variable in layer.variables)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_equal_differences(inputs, training):
  inputs = inputs[:, [0, 1, 0, 1]]
  layer = make()
  weights = layer_helpers.norm_weights(layer)
  (gradient, *rest), projection = layer_helpers.gradients(layer, inputs, training=training)

  def total(values):
    return (numpy_twins.batch_normalization(values, weights, training) * projection).sum()

  np.testing.assert_allclose(gradient, layer_helpers.differences(total, inputs), atol=1e-4)
  plain = {"mean": weights["mean"], "variance": weights["variance"]}
  normalized = numpy_twins.batch_normalization(inputs, plain, training)
  np.testing.assert_allclose(rest[0], (normalized * projection).sum(axis=0), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(rest[1], projection.sum(axis=0), atol=1e-5)

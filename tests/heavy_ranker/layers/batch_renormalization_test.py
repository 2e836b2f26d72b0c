"""Tests of `heavy_ranker.layers.batch_renormalization`; replicas_test.py has several replicas."""

import numpy as np
import pytest

from heavy_ranker.layers.batch_normalization import BatchNormalization
from heavy_ranker.layers.batch_renormalization import BatchRenormalization, d_max, r_max
from tests.heavy_ranker import layer_helpers, numpy_twins


@pytest.fixture(name="inputs")
def inputs_fixture():
  random = np.random.default_rng(0)
  return (random.normal(size=(7, 4)) * [1, 10, 0.01, 0] + [0, 3, -1, 2]).astype(np.float32)


def make(updates=0, affine=True, kind=BatchRenormalization):
  layer = kind(0.1, affine)
  layer.build([None, 4])
  layer_helpers.randomize(layer)
  if kind is BatchRenormalization:
    layer.num_updates.assign(updates)
  return layer


def test_the_bounds_follow_the_paper():
  updates = np.array([0, 5_000, 15_000, 22_500, 25_000, 40_000, 10**9])
  np.testing.assert_allclose(r_max(updates), [1, 1, 11 / 7, 2, 15 / 7, 3, 3], rtol=1e-6)
  np.testing.assert_allclose(d_max(updates), [0, 0, 2.5, 4.375, 5, 5, 5], rtol=1e-6)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("updates", [0, 5_001, 12_000, 30_000, 10**6])
def test_training_equals_numpy(inputs, updates, affine):
  layer = make(updates, affine)
  weights = layer_helpers.norm_weights(layer)
  expected = numpy_twins.batch_renormalization(inputs, weights, updates)
  outputs = layer_helpers.run(layer, inputs, training=True)
  np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=2e-5)
  mean, variance = numpy_twins.moved_statistics(inputs, weights, 0.1)
  np.testing.assert_allclose(layer.moving_mean, mean, rtol=2e-6, atol=2e-6)
  np.testing.assert_allclose(layer.moving_variance, variance, rtol=5e-6, atol=1e-6)


def test_at_first_it_is_batch_normalization(inputs):
  layer, plain = make(), BatchNormalization(0.1)
  plain.build([None, 4])
  for name in ("gamma", "beta", "moving_mean", "moving_variance"):
    getattr(plain, name).assign(getattr(layer, name))
  np.testing.assert_allclose(layer(inputs, training=True), plain(inputs, training=True), atol=1e-5)


def test_within_the_bounds_training_is_inference(inputs):
  layer = make(10**6)
  layer.moving_mean.assign(inputs.mean(axis=0) + [0.5, -5, 0.001, 0])
  layer.moving_variance.assign(inputs.var(axis=0) * 1.5)
  expected = layer(inputs).numpy()
  np.testing.assert_allclose(layer(inputs, training=True), expected, rtol=1e-4, atol=1e-4)


def test_inference_equals_batch_normalization_and_changes_nothing(inputs):
  layer = make(7)
  before = [variable.numpy() for variable in layer.variables]
  expected = numpy_twins.batch_normalization(inputs, layer_helpers.norm_weights(layer))
  np.testing.assert_allclose(layer_helpers.run(layer, inputs), expected, atol=2e-5)
  for variable, value in zip(layer.variables, before):
    np.testing.assert_array_equal(variable, value)


def test_each_training_step_counts(inputs):
  layer = make()
  for expected in (1, 2, 3):
    layer(inputs, training=True)
    assert layer.num_updates.numpy() == expected
  assert len(layer.trainable_variables) == 2


def test_no_gradient_passes_r_and_d(inputs):
  inputs = inputs[:, [0, 1, 0, 1]]
  layer = make(12_000)
  weights = layer_helpers.norm_weights(layer)
  (gradient, *_), projection = layer_helpers.gradients(layer, inputs, training=True)
  running = np.sqrt(weights["variance"] + numpy_twins.BATCH_NORM_EPSILON)
  deviation = np.sqrt(inputs.var(axis=0) + numpy_twins.BATCH_NORM_EPSILON)
  bound = 1 + 2 * 7_000 / 35_000
  r = np.clip(deviation / running, 1 / bound, bound)

  def total(values):
    return (numpy_twins.batch_normalization(values, weights, training=True) * r * projection).sum()

  np.testing.assert_allclose(gradient, layer_helpers.differences(total, inputs), atol=1e-4)

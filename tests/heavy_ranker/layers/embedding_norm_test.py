"""Tests of `heavy_ranker.layers.embedding_norm`."""

import numpy as np
import pytest

from heavy_ranker.layers.embedding_norm import EmbeddingNorm
from tests.heavy_ranker import layer_helpers, numpy_twins


@pytest.fixture(name="layer")
def layer_fixture():
  layer = EmbeddingNorm(name="user_embedding_norm")
  layer(np.zeros([1, 8], np.float32))
  layer_helpers.randomize(layer)
  return layer


@pytest.fixture(name="inputs")
def inputs_fixture():
  inputs = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
  inputs[1] = 0.0
  inputs[2, :4] = np.nan
  inputs[3, 1] = np.inf
  inputs[4] = [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 0.0, 1.0, -1.0]
  inputs[5] = np.nan
  inputs[6] = -3.4e38
  return inputs


def test_equals_numpy_and_is_finite_for_every_input(layer, inputs):
  outputs = layer_helpers.run(layer, inputs)
  assert np.isfinite(outputs).all()
  weights = layer_helpers.norm_weights(layer.layer_norm)
  expected = numpy_twins.embedding_norm(inputs, weights)
  # Equal values of 1e18 have a mean that rounds; the row below says what must hold for them.
  np.testing.assert_allclose(outputs[:6], expected[:6], atol=1e-5)


def test_non_finite_values_count_as_0(layer, inputs):
  cleaned = np.where(np.isfinite(inputs), inputs, 0.0).astype(np.float32)
  np.testing.assert_array_equal(layer(inputs), layer(cleaned))


def test_gradients_are_finite_for_every_input(layer, inputs):
  found, _ = layer_helpers.gradients(layer, inputs)
  assert all(np.isfinite(gradient).all() for gradient in found)
  assert (found[0][5] == 0).all()


def test_epsilon_is_1e_5(layer):
  inputs = np.array([[1e-3, -1e-3] * 4], np.float32)
  plain = (layer(inputs).numpy()[0] - layer.layer_norm.beta) / layer.layer_norm.gamma
  np.testing.assert_allclose(np.abs(plain), 1e-3 / np.sqrt(1e-6 + 1e-5), rtol=1e-4)

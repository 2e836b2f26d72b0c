"""Tests of `heavy_ranker.layers.affine_map`."""

import numpy as np

from heavy_ranker.layers.affine_map import AffineMap
from tests.heavy_ranker import layer_helpers, numpy_twins

LOGITS = np.array([[0.0], [1.5], [-2.0]], np.float32)


def test_starts_with_the_given_numbers():
  layer = AffineMap(1.75, -0.25)
  outputs = layer_helpers.run(layer, LOGITS)
  np.testing.assert_allclose(outputs, numpy_twins.affine_map(LOGITS, 1.75, -0.25), rtol=1e-6)
  assert outputs.shape == (3, 1)


def test_equals_numpy_with_other_weights():
  layer = AffineMap(1.0, 0.0)
  layer.build([None, 1])
  layer_helpers.randomize(layer)
  scale, bias = layer.scale.numpy()[0, 0], layer.bias.numpy()[0]
  assert scale != 1 and bias != 0
  expected = numpy_twins.affine_map(LOGITS, scale, bias)
  np.testing.assert_allclose(layer_helpers.run(layer, LOGITS), expected, rtol=1e-6)


def test_scale_and_bias_are_trained():
  layer = AffineMap(2.0, 1.0)
  layer.build([None, 1])
  assert [variable.shape for variable in layer.trainable_variables] == [(1, 1), (1,)]
  (inputs, scale, bias), projection = layer_helpers.gradients(layer, LOGITS)
  np.testing.assert_allclose(inputs, 2 * projection, rtol=1e-6)
  np.testing.assert_allclose(scale, [[(LOGITS * projection).sum()]], rtol=1e-6)
  np.testing.assert_allclose(bias, [projection.sum()], rtol=1e-6)

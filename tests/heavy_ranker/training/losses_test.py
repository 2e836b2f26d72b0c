"""Tests of `heavy_ranker.training.losses`."""

import numpy as np
import pytest

from heavy_ranker.training.losses import WeightedBinaryCrossentropy
from tests.heavy_ranker import layer_helpers, numpy_twins

LABELS = np.float32([0, 1, 0, 1, 1, 0, 0.25])
LOGITS = np.float32([-3, 2, 1.5, -0.1, 0, 40, 1])


@pytest.mark.parametrize("pos_weight", [1.0, 0.5, 3.875])
def test_each_example_equals_numpy(pos_weight):
  losses = WeightedBinaryCrossentropy(pos_weight).call(LABELS, LOGITS)
  expected = numpy_twins.weighted_cross_entropy(LOGITS, LABELS, pos_weight)
  assert losses.shape == (7,)
  np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_examples_are_added_up_with_their_weights():
  weights = np.float32([1, 0.5, 100, 0, 2, 1, 1])
  total = WeightedBinaryCrossentropy(2.0)(LABELS, LOGITS, weights)
  expected = numpy_twins.weighted_cross_entropy(LOGITS, LABELS, 2.0) @ weights
  assert total.shape == ()
  np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.parametrize("logit", [1e4, -1e4, 3e37, -3e37])
def test_a_certain_prediction_costs_its_logit_when_it_is_wrong_and_else_nothing(logit):
  losses = WeightedBinaryCrossentropy(2.0).call(np.float32([0, 1]), np.float32([logit, logit]))
  expected = [max(logit, 0.0), 2 * max(-logit, 0.0)]
  np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_gradient_is_prediction_minus_label():
  loss = WeightedBinaryCrossentropy(3.0)
  gradient = layer_helpers.function_gradient(lambda logits: loss.call(LABELS, logits), LOGITS)
  p = numpy_twins.sigmoid(LOGITS)
  np.testing.assert_allclose(gradient, (1 - LABELS) * p - 3.0 * LABELS * (1 - p), atol=5e-6)

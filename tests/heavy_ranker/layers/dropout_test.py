"""Tests of `heavy_ranker.layers.dropout`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.layers.dropout import Dropout
from tests.heavy_ranker import layer_helpers

ONES = np.ones([500, 40], np.float32)


def masks(layer, count=3, inputs=ONES):
  return [layer(inputs, training=True).numpy() for _ in range(count)]


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_drops_the_share_and_scales_up_the_rest(rate):
  layer = Dropout(rate, 3)
  outputs = layer_helpers.run(layer, ONES, training=True)
  scaled = np.float32(1 / (1 - rate))
  assert (np.isclose(outputs, 0) | np.isclose(outputs, scaled)).all()
  assert abs((outputs == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / ONES.size)
  assert abs((outputs[:, 0] == 0).mean() - rate) < 0.1
  assert abs((outputs[0] == 0).mean() - rate) < 0.35


def test_kept_values_are_scaled_one_by_one():
  inputs = np.arange(1, 1001, dtype=np.float32).reshape(10, 100)
  outputs = Dropout(0.25, 0)(inputs, training=True).numpy()
  kept = outputs != 0
  assert 0.6 < kept.mean() < 0.9
  np.testing.assert_allclose(outputs[kept], inputs[kept] / 0.75, rtol=1e-6)


def test_rate_0_drops_nothing():
  np.testing.assert_array_equal(Dropout(0.0, 0)(ONES, training=True), ONES)


def test_inference_changes_nothing():
  layer = Dropout(0.5, 0)
  np.testing.assert_array_equal(layer_helpers.run(layer, ONES), ONES)
  assert layer.calls.numpy() == 0


def test_counts_training_calls_and_draws_a_new_mask_for_each():
  layer = Dropout(0.5, 0)
  first, second, third = masks(layer)
  assert layer.calls.numpy() == 3
  assert layer.calls.dtype == tf.int64
  assert not layer.trainable_variables
  for one, other in ((first, second), (second, third), (first, third)):
    assert 0.45 < (one != other).mean() < 0.55


def test_the_same_seed_repeats_the_masks_and_another_does_not():
  for one, other in zip(masks(Dropout(0.5, 5)), masks(Dropout(0.5, 5))):
    np.testing.assert_array_equal(one, other)
  assert (masks(Dropout(0.5, 5))[0] != masks(Dropout(0.5, 6))[0]).any()


def test_masks_do_not_depend_on_the_global_seed():
  tf.random.set_seed(1)
  first = masks(Dropout(0.5, 5), 1)
  tf.random.set_seed(2)
  np.testing.assert_array_equal(first, masks(Dropout(0.5, 5), 1))


def test_a_restored_counter_continues_with_the_next_mask():
  expected = masks(Dropout(0.5, 5), 3)
  layer = Dropout(0.5, 5)
  layer.build([None, 40])
  layer.calls.assign(2)
  np.testing.assert_array_equal(masks(layer, 1)[0], expected[2])


def test_each_call_of_a_function_draws_anew():
  expected = masks(Dropout(0.5, 5), 3)
  layer = Dropout(0.5, 5)
  layer.build([None, 40])
  function = tf.function(lambda x: layer(x, training=True), autograph=False)
  for mask in expected:
    np.testing.assert_array_equal(function(ONES), mask)


def test_gradient_flows_where_values_are_kept():
  layer = Dropout(0.5, 5)
  (mask,) = masks(Dropout(0.5, 5), 1)
  (gradient,), projection = layer_helpers.gradients(layer, ONES, training=True)
  np.testing.assert_allclose(gradient, projection * mask, rtol=1e-6)

"""Tests of `heavy_ranker.layers.position_debias`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config.model import PositionDebiasConfig
from heavy_ranker.layers.position_debias import PositionDebias
from tests.heavy_ranker import layer_helpers, numpy_twins

INPUTS = np.stack([np.full(400, 9), np.arange(400) % 7 - 1], axis=1)


def make(drop_probability=0.5, seed=3):
  config = PositionDebiasConfig(
    max_position=4, num_dims=3, drop_probability=drop_probability, position_feature_index=1
  )
  return PositionDebias(config, seed, name="position_debias")


def train(layer, count=1):
  return [layer(INPUTS, training=True).numpy() for _ in range(count)]


def test_outside_training_it_is_zeros():
  layer = make()
  outputs = layer_helpers.run(layer, INPUTS)
  np.testing.assert_array_equal(outputs, np.zeros((400, 3)))
  assert layer.calls.numpy() == 0


def test_in_training_equals_numpy_where_it_is_kept():
  layer = make(0.0)
  outputs = layer_helpers.run(layer, INPUTS, training=True)
  table = layer.positions.embeddings.numpy()
  assert table.shape == (5, 3)
  np.testing.assert_array_equal(outputs, numpy_twins.small_embedding(table, INPUTS[:, 1]))


@pytest.mark.parametrize("drop_probability", [0.2, 0.5, 0.9])
def test_drops_whole_vectors_and_scales_nothing(drop_probability):
  layer = make(drop_probability)
  outputs = layer_helpers.run(layer, INPUTS, training=True)
  vectors = numpy_twins.small_embedding(layer.positions.embeddings.numpy(), INPUTS[:, 1])
  dropped = (outputs == 0).all(axis=1)
  np.testing.assert_array_equal(outputs[~dropped], vectors[~dropped])
  margin = 4 * np.sqrt(drop_probability * (1 - drop_probability) / len(INPUTS))
  assert abs(dropped.mean() - drop_probability) < margin


def test_probability_1_drops_everything():
  np.testing.assert_array_equal(train(make(1.0))[0], np.zeros((400, 3)))


def test_each_call_draws_anew_and_a_restored_counter_continues():
  first, second, third = train(make(), 3)
  for one, other in ((first, second), (second, third), (first, third)):
    assert 0.3 < ((one == 0) != (other == 0)).any(axis=1).mean() < 0.7
  layer = make()
  layer(INPUTS)
  layer.calls.assign(2)
  np.testing.assert_array_equal(train(layer)[0], third)


def test_the_seed_decides():
  (first,), (second,) = train(make()), train(make(seed=4))
  np.testing.assert_array_equal(first, train(make())[0])
  assert ((first == 0) != (second == 0)).any(axis=1).mean() > 0.3


def test_positions_that_are_kept_are_trained():
  layer = make()
  (outputs,) = train(make())
  layer(INPUTS)
  with tf.GradientTape() as tape:
    total = tf.reduce_sum(layer(tf.constant(INPUTS), training=True))
  (gradient,) = tape.gradient(total, layer.trainable_variables)
  kept = (outputs != 0).any(axis=1)
  rows = np.where((INPUTS[:, 1] >= 0) & (INPUTS[:, 1] < 4), INPUTS[:, 1], 4)
  expected = np.bincount(rows[kept], minlength=5)
  np.testing.assert_allclose(tf.convert_to_tensor(gradient)[:, 0], expected)


def test_names_of_weights():
  layer = make()
  layer(INPUTS)
  names = [variable.name for variable in layer.variables]
  assert names == ["position_debias/positions/embeddings:0", "position_debias/calls:0"]

"""Tests of `heavy_ranker.layers.small_embedding`."""

import numpy as np
import tensorflow as tf

from heavy_ranker.layers.embedding_table import INITIAL_MAGNITUDE
from heavy_ranker.layers.small_embedding import SmallEmbedding
from tests.heavy_ranker import layer_helpers, numpy_twins

_INT64 = np.iinfo(np.int64)
INPUTS = np.array([[9, 0], [9, 3], [9, 4], [9, -1], [9, 2], [9, _INT64.max], [9, _INT64.min]])


def make(seed=0):
  return SmallEmbedding(4, 3, 1, seed, name="language")


def test_equals_numpy_and_ids_out_of_range_share_the_last_row():
  layer = make()
  outputs = layer_helpers.run(layer, INPUTS)
  table = layer.embeddings.numpy()
  assert table.shape == (5, 3)
  np.testing.assert_array_equal(outputs, numpy_twins.small_embedding(table, INPUTS[:, 1]))
  np.testing.assert_array_equal(outputs[[2, 3, 5, 6]], table[[4] * 4])


def test_rows_in_use_are_trained_the_last_one_too():
  layer = make()
  (gradient,), projection = _gradients(layer)
  expected = np.zeros((5, 3))
  np.add.at(expected, [0, 3, 4, 4, 2, 4, 4], projection)
  np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def _gradients(layer):
  with tf.GradientTape() as tape:
    outputs = layer(tf.constant(INPUTS))
    projection = np.random.default_rng(0).normal(size=outputs.shape).astype("f")
    total = tf.reduce_sum(outputs * projection)
  found = tape.gradient(total, layer.trainable_variables)
  return [tf.convert_to_tensor(gradient).numpy() for gradient in found], projection


def test_initial_values_depend_on_the_seed_only_and_are_small():
  tables = []
  for seed in (1, 1, 2):
    layer = make(seed)
    layer(INPUTS)
    tables.append(layer.embeddings.numpy())
  np.testing.assert_array_equal(tables[0], tables[1])
  assert (tables[0] != tables[2]).all()
  assert 0.01 < np.abs(tables[0]).max() <= INITIAL_MAGNITUDE

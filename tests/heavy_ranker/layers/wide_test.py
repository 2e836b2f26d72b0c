"""Tests of `heavy_ranker.layers.wide` against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config.wide import WideConfig
from heavy_ranker.layers.wide import Wide
from tests.heavy_ranker import layer_helpers

TABLES = [{"index": 2, "num_embeddings": 4, "l2": 0.1}, {"index": 0, "num_embeddings": 3}]


def make(inputs, **config):
  layer = Wide(WideConfig(**config), 2, name="wide")
  layer([tf.constant(each) for each in inputs])
  return layer


@pytest.fixture(name="inputs")
def inputs_fixture():
  random = np.random.default_rng(0)
  return [random.standard_normal((9, 5)).astype("f"), random.integers(-1, 6, (9, 3))]


def test_equals_numpy_and_values_out_of_range_share_the_last_row(inputs):
  layer = make(inputs, tables=TABLES)
  layer_helpers.randomize(layer)
  dense, discrete = inputs
  expected = dense @ layer.kernel.numpy() + layer.bias.numpy()
  for table, index, size in zip(layer.tables, (2, 0), (4, 3)):
    rows = [value if 0 <= value < size else size for value in discrete[:, index]]
    expected = expected + table.numpy()[rows]
  np.testing.assert_allclose(layer_helpers.run(layer, inputs), expected, atol=1e-5)


def test_starts_at_0_and_needs_no_tables(inputs):
  np.testing.assert_array_equal(make(inputs, tables=TABLES)(inputs), np.zeros((9, 2)))
  layer = make(inputs[:1])
  layer_helpers.randomize(layer)
  assert layer(inputs[:1]).shape == (9, 2)


def test_penalties_are_l2_times_squares(inputs):
  layer = make(inputs, l2=0.5, tables=TABLES)
  layer_helpers.randomize(layer)
  squares = [np.square(each.numpy()).sum() for each in (layer.kernel, layer.tables[0])]
  np.testing.assert_allclose(sum(layer.losses), 0.5 * squares[0] + 0.1 * squares[1], rtol=1e-5)

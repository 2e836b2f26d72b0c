"""Norms by group and clipping, against NumPy; sparse gradients are what they stand for."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config.optimizer import GradientClippingConfig, OptimizerConfig
from heavy_ranker.training.gradient_clipping import GradientClipping
from heavy_ranker.training.gradient_norms import GradientNorms, summed_rows
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError

ROWS = 4
# Parts of rows 2 and 0; row 2 occurs twice.
SPARSE = ([2, 0, 2], [[3.0, -1.0], [0.5, 2.0], [1.0, -7.0]])
DENSE = [[1.0, -2.0, 3.0], [-4.0, 5.0, 0.25]]


@pytest.fixture(name="norms")
def norms_fixture():
  table, kernel, unused = (tf.Variable(tf.zeros(shape)) for shape in ([ROWS, 2], [2, 3], [5]))
  return GradientNorms([table, unused, kernel], {"a": [kernel, unused], "tables": [table]})


def gradients():
  indices, values = SPARSE
  shape = tf.constant([ROWS, 2], tf.int64)
  sparse = tf.IndexedSlices(tf.constant(values), tf.constant(indices, tf.int64), shape)
  return [summed_rows(sparse), None, tf.constant(DENSE)]


def dense_table():
  table = np.zeros([ROWS, 2], np.float32)
  np.add.at(table, *SPARSE)
  return table


def as_arrays(found):
  assert isinstance(found[0], tf.IndexedSlices)
  assert found[1] is None
  return tf.convert_to_tensor(found[0]).numpy(), found[2].numpy()


def clipped(norms, **section):
  config = validate(GradientClippingConfig, section, "test")
  found = gradients()
  return as_arrays(GradientClipping(config, norms)(found, norms.squares(found)))


def test_rows_occur_once_in_the_order_of_the_first(norms):
  rows = summed_rows(gradients()[0])
  assert rows.indices.numpy().tolist() == [2, 0]
  np.testing.assert_allclose(tf.convert_to_tensor(rows), dense_table())
  dense = tf.constant(DENSE)
  assert summed_rows(dense) is dense
  assert summed_rows(None) is None


def test_squares_are_those_of_what_the_gradients_stand_for(norms):
  assert norms.groups == ("a", "tables")
  expected = [np.sum(np.square(DENSE)), np.sum(np.square(dense_table()))]
  np.testing.assert_allclose(norms.squares(gradients()), expected, rtol=1e-6)
  np.testing.assert_allclose(tf.function(norms.squares)(gradients()), expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_squares_show_what_no_optimizer_can_use(norms, bad):
  table, unused, kernel = gradients()
  kernel = tf.tensor_scatter_nd_update(kernel, [[1, 1]], [bad])
  squares = norms.squares([table, unused, kernel]).numpy()
  assert np.isfinite(squares).tolist() == [False, True]


def test_a_group_without_gradients_has_norm_0(norms):
  table, _, _ = gradients()
  assert norms.squares([table, None, None]).numpy()[0] == 0


def test_by_value(norms):
  table, kernel = clipped(norms, by_value=2.5)
  np.testing.assert_allclose(table, np.clip(dense_table(), -2.5, 2.5))
  np.testing.assert_allclose(kernel, np.clip(DENSE, -2.5, 2.5))


def test_by_global_norm(norms):
  norm = np.sqrt(np.sum(np.square(DENSE)) + np.sum(np.square(dense_table())))
  table, kernel = clipped(norms, by_global_norm=3.0)
  np.testing.assert_allclose(table, dense_table() * 3 / norm, rtol=1e-6)
  np.testing.assert_allclose(kernel, np.multiply(DENSE, 3 / norm), rtol=1e-6)


def test_by_group_norm(norms):
  table, kernel = clipped(norms, by_group_norm=8.0)
  np.testing.assert_array_equal(kernel, np.float32(DENSE))  # Its norm is 7.4: left to the bit.
  norm = np.sqrt(np.sum(np.square(dense_table())))
  np.testing.assert_allclose(table, dense_table() * 8 / norm, rtol=1e-6)


def test_by_value_comes_first(norms):
  table, kernel = clipped(norms, by_value=2.5, by_global_norm=1.0)
  parts = np.clip(dense_table(), -2.5, 2.5), np.clip(DENSE, -2.5, 2.5)
  norm = np.sqrt(sum(np.sum(np.square(part)) for part in parts))
  np.testing.assert_allclose(table, parts[0] / norm, rtol=1e-6)
  np.testing.assert_allclose(kernel, parts[1] / norm, rtol=1e-6)


@pytest.mark.parametrize(
  "section, words",
  [
    ({}, "gradient_clipping.*found none of by_value, by_global_norm and by_group_norm"),
    ({"by_global_norm": 1.0, "by_group_norm": 1.0}, "at most one of by_global_norm, by_group_norm"),
    ({"by_value": 0}, "by_value: found 0"),
    ({"by_global_norm": -1.0}, "by_global_norm: found -1.0"),
    ({"by_norm": 1.0}, "by_norm: unknown key, did you mean"),
    ({"by_global_norm": True}, "a number; true and false are none"),
  ],
)
def test_what_makes_no_sense_is_refused(section, words):
  content = {"single_task_learning_rate": {"constant": 0.1}, "gradient_clipping": section}
  with pytest.raises(ConfigError, match=words):
    validate(OptimizerConfig, content, "test")

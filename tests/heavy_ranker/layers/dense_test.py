"""Tests of `heavy_ranker.layers.dense`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.layers.dense import dense
from tests.heavy_ranker import layer_helpers, numpy_twins


def kernel_of(units=6, name="layer", seed=0, width=4):
  layer = dense(units, name, seed)
  layer.build([None, width])
  return layer.kernel.numpy()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_equals_numpy(activation, training):
  inputs = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
  layer = dense(3, "layer", 0, activation)
  layer.build(inputs.shape)
  layer_helpers.randomize(layer)
  expected = numpy_twins.dense(inputs, layer_helpers.dense_weights(layer))
  expected = expected if activation is None else numpy_twins.relu(expected)
  assert (expected < 0).any() or activation
  outputs = layer_helpers.run(layer, inputs, training=training)
  np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("units", [1, 3])
def test_gradients_equal_numpy(units, rows):
  inputs = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
  layer = dense(units, "layer", 0)
  layer.build(inputs.shape)
  layer_helpers.randomize(layer)
  (of_inputs, of_kernel, of_bias), projection = layer_helpers.gradients(
    layer, inputs, training=True
  )
  np.testing.assert_allclose(of_inputs, projection @ layer.kernel.numpy().T, atol=1e-6)
  np.testing.assert_allclose(of_kernel, inputs.T @ projection, atol=1e-6)
  np.testing.assert_allclose(of_bias, projection.sum(axis=0), atol=1e-6)


def operations(layer, **kwargs):
  """The types of operations of a function that computes the inputs' gradient."""

  @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 4])])
  def gradient(inputs):
    return tf.gradients(layer(inputs, **kwargs), inputs)[0]

  return [operation.type for operation in gradient.get_concrete_function().graph.get_operations()]


def test_the_gradient_of_the_inputs_is_a_batched_product_while_training_only():
  layer = dense(3, "layer", 0)
  layer.build([None, 4])
  assert operations(layer, training=True).count("BatchMatMulV2") == 1
  assert "BatchMatMulV2" not in operations(layer)
  assert "IdentityN" not in operations(layer)  # Which carries a gradient of our own.


def test_kernel_is_glorot_uniform():
  kernel = kernel_of(units=300, width=200)
  limit = np.sqrt(6 / (200 + 300))
  assert np.abs(kernel).max() <= limit
  assert np.abs(kernel).max() > 0.999 * limit
  assert abs(kernel.mean()) < 0.01 * limit
  # The quartiles of a uniform distribution, which a normal one has not.
  np.testing.assert_allclose(
    np.quantile(kernel, [0.25, 0.75]), [-limit / 2, limit / 2], atol=limit / 50
  )


def test_bias_starts_at_0():
  layer = dense(3, "layer", 0)
  layer.build([None, 4])
  np.testing.assert_array_equal(layer.bias, np.zeros(3))


def test_same_seed_and_name_give_the_same_kernel_bit_for_bit():
  np.testing.assert_array_equal(kernel_of(seed=7), kernel_of(seed=7))


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "sibling"}], ids=str)
def test_another_seed_or_name_gives_another_kernel(other):
  assert (kernel_of() != kernel_of(**other)).all()


def test_kernel_does_not_depend_on_what_was_built_before():
  first = kernel_of()
  kernel_of(name="something")
  np.testing.assert_array_equal(kernel_of(), first)

"""Tests of `heavy_ranker.layers.finite`."""

import numpy as np
import pytest

from heavy_ranker.layers import finite
from tests.heavy_ranker import layer_helpers, numpy_twins

VALUES = np.array(
  [
    [0.0, -0.0, 1.5, -2.5, 1e-40],
    [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38],
    [1e18, -1e18, 1.01e18, -1.01e18, -1e-40],
  ],
  np.float32,
)


@pytest.mark.parametrize("name", ["replace_non_finite", "make_safe"])
@pytest.mark.parametrize("shape", [(3, 5), (1, 3, 5), (15,)], ids=str)
def test_equals_numpy(name, shape):
  values = VALUES.reshape(shape)
  outputs = layer_helpers.run_function(getattr(finite, name), values)
  # Not equal to the last bit: a CPU may take denormal numbers for 0.
  np.testing.assert_allclose(outputs, getattr(numpy_twins, name)(values), rtol=1e-7, atol=1e-38)


def test_replace_non_finite_keeps_every_finite_value():
  outputs = finite.replace_non_finite(VALUES).numpy()
  np.testing.assert_array_equal(outputs[1], np.float32([0, 0, 0, 3.4e38, -3.4e38]))
  np.testing.assert_array_equal(outputs[[0, 2]], VALUES[[0, 2]])


def test_squares_of_safe_values_can_be_summed():
  embedding = np.full([1, 200], np.float32(-3.4e38))
  assert np.isfinite(np.sum(np.square(finite.make_safe(embedding).numpy())))


@pytest.mark.parametrize("name", ["replace_non_finite", "make_safe"])
def test_gradient_is_0_where_a_value_is_replaced_and_1_elsewhere(name):
  gradient = layer_helpers.function_gradient(getattr(finite, name), VALUES)
  kept = getattr(numpy_twins, name)(VALUES).astype(np.float32) == VALUES
  np.testing.assert_array_equal(gradient, kept.astype(np.float32))

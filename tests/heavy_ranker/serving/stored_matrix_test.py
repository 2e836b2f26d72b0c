"""Tests of `heavy_ranker.serving.stored_matrix`: values and scales equal NumPy's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from heavy_ranker.serving.stored_matrix import quantize, store
from tfrecords.errors import CheckpointError

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
MATRICES = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2), elements=FLOATS)


def bfloat16_twin(values):
  """Rounds to the nearest number of 8 significant bits, ties to even, on the bits."""
  bits = values.view(np.uint32)
  return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


@settings(deadline=None)
@given(MATRICES)
def test_bfloat16_is_the_nearest(values):
  matrix = store(tf.Variable(values), "bfloat16", by_row=False)
  assert matrix.values.dtype == tf.bfloat16
  assert matrix.scales is None
  np.testing.assert_array_equal(tf.cast(matrix.values, tf.float32), bfloat16_twin(values))


@pytest.mark.parametrize(("by_row", "axis"), [(False, 0), (True, 1)])
@settings(deadline=None)
@given(values=MATRICES)
def test_int8_is_within_half_a_scale(values, by_row, axis):
  matrix = store(tf.Variable(values), "int8", by_row)
  integers, scales = matrix.values.numpy(), matrix.scales.numpy()
  assert (integers.dtype, scales.dtype) == (np.int8, np.float32)
  assert scales.shape == tuple(1 if i == axis else n for i, n in enumerate(values.shape))
  assert integers.min() >= -127
  error = np.abs(values - integers.astype(np.float64) * scales)
  # What is too small for a scale becomes 0: below 127 times the smallest normal number.
  assert (error <= np.maximum(scales * np.float64(0.50001), 1.5e-36)).all()


def test_int8_by_hand():
  values = np.array([[1.0, -8.0, 0.0], [-2.0, 1.0, 0.0]], np.float32)
  integers, scales = quantize(values, axis=0)
  np.testing.assert_array_equal(integers, [[64, -127, 0], [-127, 16, 0]])  # 63.5 is a tie.
  np.testing.assert_allclose(scales, [[2 / 127, 8 / 127, 0]], rtol=1e-6)
  integers, scales = quantize(values, axis=1)
  np.testing.assert_array_equal(integers, [[16, -127, 0], [-127, 64, 0]])
  np.testing.assert_allclose(scales, [[8 / 127], [2 / 127]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_what_is_not_finite_is_refused(precision, value):
  matrix = tf.Variable([[1.0, value]], name="tower/kernel")
  with pytest.raises(CheckpointError, match="tower/kernel: found values that are not finite"):
    store(matrix, precision, by_row=False)

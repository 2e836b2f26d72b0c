"""Tests of `heavy_ranker.layers.signed_log`."""

import numpy as np
import pytest

from heavy_ranker.layers.signed_log import signed_log1p
from tests.heavy_ranker import layer_helpers, numpy_twins

VALUES = np.array(
  [[0.0, -0.0, 1.0, -1.0, 1e-7, -1e-7], [1e6, -1e6, 3.4e38, -3.4e38, 0.5, -17.0]], np.float32
)


@pytest.mark.parametrize("shape", [(2, 6), (3, 2, 2), (12,)], ids=str)
def test_equals_numpy(shape):
  values = VALUES.reshape(shape)
  outputs = layer_helpers.run_function(signed_log1p, values)
  np.testing.assert_allclose(outputs, numpy_twins.signed_log1p(values), rtol=1e-6)


def test_small_values_keep_their_digits():
  assert signed_log1p(np.float32(1e-9)).numpy() == np.float32(1e-9)


def test_is_odd_and_increasing():
  values = np.linspace(-1e4, 1e4, 2001, dtype=np.float32)
  outputs = signed_log1p(values).numpy()
  np.testing.assert_array_equal(outputs, -outputs[::-1])
  assert (np.diff(outputs) > 0).all()

"""Tests of `heavy_ranker.layers.log_featurization`."""

import numpy as np
import pytest

from heavy_ranker.layers.log_featurization import LogFeaturization
from tests.heavy_ranker import layer_helpers, numpy_twins

CONTINUOUS = np.array(
  [[0, 1, -1], [1e6, -1e6, 0.5], [np.nan, np.inf, -np.inf], [3.4e38, -3.4e38, 1e-40]], np.float32
)
BINARY = np.array([[0, 1], [1, 0], [np.nan, np.inf], [9e18, -5]], np.float32)


@pytest.mark.parametrize("clip_magnitude", [None, 2.5])
def test_equals_numpy(clip_magnitude):
  layer = LogFeaturization(clip_magnitude)
  bound = np.inf if clip_magnitude is None else clip_magnitude
  expected = numpy_twins.double_norm_log([CONTINUOUS, BINARY], None, None, bound, 0.0)
  outputs = layer_helpers.run(layer, [CONTINUOUS, BINARY])
  assert outputs.shape == (4, 5)
  assert layer.variables == []
  np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)


def test_only_the_continuous_features_are_clipped():
  outputs = LogFeaturization(2.5)([CONTINUOUS, np.full_like(BINARY, 7)]).numpy()
  assert np.abs(outputs[:, :3]).max() == 2.5
  assert np.nanmax(outputs[:, 3:]) == 7

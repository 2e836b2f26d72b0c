import json

import numpy as np
import pytest

from tfrecords.ingestion.feature_statistics import FeatureStatistics


@pytest.fixture(scope="module")
def matrix():
  random = np.random.default_rng(0)
  values = random.normal(1e6, 3, (300, 4))
  values[random.random((300, 4)) < 0.2] = np.nan
  values[:, 2] = np.nan
  values[::3, 3] = 0
  return values


@pytest.mark.parametrize("bounds", [[0, 300], [0, 1, 7, 250, 300], [0, 0, 150, 300]])
def test_pieces_that_are_merged_are_as_good_as_the_whole(matrix, bounds):
  merged = FeatureStatistics(4)
  for begin, end in zip(bounds, bounds[1:]):
    piece = FeatureStatistics(4)
    piece.add(matrix[begin:end])
    merged.merge(FeatureStatistics.from_json(json.loads(json.dumps(piece.to_json()))))
  for index in (0, 1, 3):
    column = matrix[:, index]
    found = merged.column(index)
    assert found["mean"] == pytest.approx(np.nanmean(column), rel=1e-12)
    assert found["standard_deviation"] == pytest.approx(np.nanstd(column), rel=1e-9)
    assert found["minimum"] == np.nanmin(column)
    assert found["maximum"] == np.nanmax(column)
    assert found["missing"] == pytest.approx(np.isnan(column).mean())
    assert found["zeros"] == pytest.approx((column == 0).mean())


def test_a_column_without_a_value_has_no_mean(matrix):
  statistics = FeatureStatistics(4)
  statistics.add(matrix)
  found = statistics.column(2)
  assert found["missing"] == 1
  assert found["mean"] is None
  assert found["minimum"] is None

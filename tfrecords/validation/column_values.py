"""What is known of the columns of features: non-finite values, statistics, bins."""

from collections.abc import Mapping
from typing import Optional

import numpy as np

from tfrecords.column_statistics import ColumnStatistics
from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.validation.quantile_bins import count_up_to


def has_statistics(feature: Feature, labels: tuple[str, ...]) -> bool:
  """Tells whether drift can be told of a feature: numbers of fixed length that are no label."""
  is_dense = feature.length != VARIABLE_LENGTH and feature.dtype != "bytes_list"
  return is_dense and feature.record_name not in labels


class ColumnValues:
  """Counts over the records seen so far. Features have their names in the record.

  Args:
    features: the schema.
    labels: those that are labels.
    with_statistics: whether to take statistics, too, which costs several times the time.
    edges: feature -> edges of bins, float64 [edges, length], to count values in.

  Attributes:
    non_finite: float feature of fixed length -> NaN and infinite values, int64 [length].
    statistics: feature -> its statistics, when asked for.
    up_to: feature -> values up to each edge, int64 [edges, length].
  """

  def __init__(
    self,
    features: Mapping[str, Feature],
    labels: tuple[str, ...] = (),
    with_statistics: bool = False,
    edges: Optional[Mapping[str, np.ndarray]] = None,
  ):
    self.non_finite = {
      name: np.zeros(feature.length, np.int64)
      for name, feature in features.items()
      if feature.dtype == "float_list" and feature.length != VARIABLE_LENGTH
    }
    self.statistics = {
      name: ColumnStatistics(feature.length)
      for name, feature in features.items()
      if with_statistics and has_statistics(feature, labels)
    }
    self._edges = dict(edges or {})
    self.up_to = {name: np.zeros(matrix.shape, np.int64) for name, matrix in self._edges.items()}

  def add(self, values: Mapping[str, np.ndarray]) -> None:
    """Takes in a batch, [n, length] by feature."""
    for name, counts in self.non_finite.items():
      finite = np.isfinite(values[name])
      if not finite.all():
        counts += len(finite) - np.count_nonzero(finite, axis=0)
    for name, statistics in self.statistics.items():
      statistics.add(values[name])
    for name, counts in self.up_to.items():
      counts += count_up_to(values[name], self._edges[name])

  def merge(self, other: "ColumnValues") -> None:
    """Takes in what another one has seen."""
    for name, counts in self.non_finite.items():
      counts += other.non_finite[name]
    for name, statistics in self.statistics.items():
      statistics.merge(other.statistics[name])
    for name, counts in self.up_to.items():
      counts += other.up_to[name]

"""Statistics of features that can be merged: whatever workers found becomes one table."""

from typing import Any

import numpy as np


class FeatureStatistics:
  """Count, missing, zeros, range, mean and deviation of each column of a feature.

  Merged with the formulas of Chan, Golub and LeVeque (Updating Formulae and a Pairwise Algorithm
  for Computing Sample Variances, 1979).

  Args:
    width: number of columns.
  """

  def __init__(self, width: int):
    self._n_rows = 0
    self._count = np.zeros(width)
    self._zeros = np.zeros(width)
    self._minimum = np.full(width, np.inf)
    self._maximum = np.full(width, -np.inf)
    self._mean = np.zeros(width)
    self._squares = np.zeros(width)

  def add(self, matrix: np.ndarray) -> None:
    """Takes in rows of numbers, [rows, width]; NaN is missing."""
    if not len(matrix):
      return
    values = matrix.astype(np.float64)
    valid = ~np.isnan(values)
    filled = np.where(valid, values, 0.0)
    other = FeatureStatistics(values.shape[1])
    other._n_rows = len(values)
    other._count = valid.sum(axis=0).astype(np.float64)
    other._zeros = ((values == 0) & valid).sum(axis=0).astype(np.float64)
    other._minimum = np.where(valid, values, np.inf).min(axis=0)
    other._maximum = np.where(valid, values, -np.inf).max(axis=0)
    other._mean = filled.sum(axis=0) / np.maximum(other._count, 1)
    other._squares = np.where(valid, np.square(values - other._mean), 0.0).sum(axis=0)
    self.merge(other)

  def merge(self, other: "FeatureStatistics") -> None:
    """Takes in what another one has seen."""
    count = self._count + other._count
    share = other._count / np.maximum(count, 1)
    difference = other._mean - self._mean
    self._squares += other._squares + np.square(difference) * self._count * share
    self._mean += difference * share
    self._n_rows, self._count = self._n_rows + other._n_rows, count
    self._zeros = self._zeros + other._zeros
    self._minimum = np.minimum(self._minimum, other._minimum)
    self._maximum = np.maximum(self._maximum, other._maximum)

  def to_json(self) -> dict[str, Any]:
    """Returns everything as plain data."""
    arrays = {name: getattr(self, f"_{name}").tolist() for name in _ARRAYS}
    return {"n_rows": self._n_rows, **arrays}

  @classmethod
  def from_json(cls, content: dict[str, Any]) -> "FeatureStatistics":
    """Returns what `to_json` was called on."""
    result = cls(len(content["count"]))
    result._n_rows = content["n_rows"]
    for name in _ARRAYS:
      setattr(result, f"_{name}", np.array(content[name], np.float64))
    return result

  def column(self, index: int) -> dict[str, Any]:
    """Returns what is known of one column, for people and for JSON; None where nothing is."""
    count = self._count[index]
    known = count > 0
    deviation = np.sqrt(self._squares[index] / max(count, 1))
    return {
      "missing": float(1 - count / max(self._n_rows, 1)),
      "zeros": float(self._zeros[index] / max(self._n_rows, 1)),
      "minimum": float(self._minimum[index]) if known else None,
      "maximum": float(self._maximum[index]) if known else None,
      "mean": float(self._mean[index]) if known else None,
      "standard_deviation": float(deviation) if known else None,
    }


_ARRAYS = ("count", "zeros", "minimum", "maximum", "mean", "squares")

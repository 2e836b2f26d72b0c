"""Statistics of a dense feature, column by column, in one pass over batches of any size."""

import numpy as np


def signed_log1p(values: np.ndarray) -> np.ndarray:
  """Returns sign(x) log(1 + |x|) of finite values; any shape, float64."""
  return np.copysign(np.log1p(np.abs(values)), values)


class ColumnStatistics:
  """Count, and for each column mean and standard deviation of the signed log, range and shares.

  The logs are those the model sees: of 0 where a value is not finite. Batches are merged with the
  formulas of Chan, Golub and LeVeque (Updating Formulae and a Pairwise Algorithm for Computing
  Sample Variances, 1979), so that nothing cancels out however many there are. The deviation is the
  population's, sqrt(sum of squares / count), and exactly 0 for a column of equal values.

  Args:
    length: number of columns.

  Attributes:
    count: examples seen.
    mean: of the signed logs, float64 [length].
    minimum, maximum: of the raw finite values, float64 [length]; inf and -inf if there is none.
  """

  def __init__(self, length: int):
    self.count = 0
    self.mean = np.zeros(length)
    self.minimum = np.full(length, np.inf)
    self.maximum = np.full(length, -np.inf)
    self._squares = np.zeros(length)
    self._zeros = np.zeros(length, np.int64)
    self._non_finite = np.zeros(length, np.int64)

  def add(self, values: np.ndarray) -> None:
    """Takes in a batch of any numbers, [batch, length]."""
    values = np.asarray(values, np.float64)
    if not len(values):
      return
    self._zeros += np.count_nonzero(values == 0, axis=0)
    finite, lowest, highest = np.isfinite(values), values, values
    if not finite.all():
      self._non_finite += np.count_nonzero(~finite, axis=0)
      lowest, highest = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
      values = np.where(finite, values, 0.0)
    self.minimum = np.minimum(self.minimum, lowest.min(axis=0))
    self.maximum = np.maximum(self.maximum, highest.max(axis=0))
    self._merge(signed_log1p(values))

  def merge(self, other: "ColumnStatistics") -> None:
    """Takes in what another one of the same length has seen."""
    if not other.count:
      return
    self._zeros += other._zeros
    self._non_finite += other._non_finite
    self.minimum = np.minimum(self.minimum, other.minimum)
    self.maximum = np.maximum(self.maximum, other.maximum)
    self._combine(other.count, other.mean, other._squares)

  def _merge(self, logs: np.ndarray) -> None:
    # Measured from the first row, equal values have the mean they have, whatever the sum rounds to.
    shifted = logs - logs[0]
    shifted_mean = shifted.mean(axis=0)
    shifted -= shifted_mean
    squares = np.einsum("ij,ij->j", shifted, shifted)
    self._combine(len(logs), logs[0] + shifted_mean, squares)

  def _combine(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
    total = self.count + count
    difference = mean - (self.mean if self.count else 0.0)
    self.mean = self.mean + difference * (count / total)
    self._squares = self._squares + squares + np.square(difference) * (self.count * count / total)
    self.count = total

  @property
  def deviation(self) -> np.ndarray:
    """The standard deviation of the signed logs, float64 [length]."""
    return np.sqrt(self._squares / max(self.count, 1))

  @property
  def share_of_zeros(self) -> np.ndarray:
    """The share of values that are 0, in [0, 1], [length]."""
    return self._zeros / max(self.count, 1)

  @property
  def share_of_non_finite(self) -> np.ndarray:
    """The share of values that are NaN or infinite, in [0, 1], [length]."""
    return self._non_finite / max(self.count, 1)

  @property
  def farthest(self) -> np.ndarray:
    """How far from the mean the farthest log lies, in standard deviations, [length]; 0 if constant.

    A value that is not finite counts as 0, as in the mean.
    """
    replaced = self._non_finite > 0
    lowest = np.where(replaced, np.minimum(self.minimum, 0.0), self.minimum)
    highest = np.where(replaced, np.maximum(self.maximum, 0.0), self.maximum)
    distance = np.maximum(self.mean - signed_log1p(lowest), signed_log1p(highest) - self.mean)
    deviation = self.deviation
    return np.divide(distance, deviation, out=np.zeros_like(distance), where=deviation > 0)

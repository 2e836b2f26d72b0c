"""Bins between the quantiles of a baseline, and how far new data has moved between them."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

N_QUANTILES = 10
# A value that so large a share of the records has gets a bin of its own.
_ATOM = 0.5 / N_QUANTILES


def edges_of(values: np.ndarray) -> list[list[float]]:
  """Returns the upper edges of each column's bins, ascending; the last bin has none.

  They are the deciles of the finite values. Values that many records share, such as 0, have a bin
  of their own, so that a constant column that changes its value is noticed, too.

  Args:
    values: float32 or int64 [records, length].
  """
  dtype = np.float32 if values.dtype == np.float32 else np.float64
  edges = []
  for column in values.astype(dtype).T:
    ordered = np.sort(column[np.isfinite(column)])
    if not len(ordered):
      edges.append([])
      continue
    places = np.arange(1, N_QUANTILES) * len(ordered) // N_QUANTILES
    found = np.unique(ordered[places])
    ends = np.searchsorted(ordered, found, "right")
    atoms = found[ends - np.searchsorted(ordered, found, "left") >= _ATOM * len(ordered)]
    below = np.nextafter(atoms, dtype(-np.inf))
    edges.append(np.unique(np.concatenate([found, below])).astype(np.float64).tolist())
  return edges


def padded(edges: Sequence[Sequence[float]]) -> np.ndarray:
  """Returns edges as a matrix, float64 [most edges + 1, length], filled up with infinity."""
  matrix = np.full((max(map(len, edges), default=0) + 1, len(edges)), np.inf)
  for column, found in enumerate(edges):
    matrix[: len(found), column] = found
  return matrix


def count_up_to(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
  """Counts each column's finite values that are not larger than each edge.

  Args:
    values: float32 or int64 [records, length].
    edges: float64 [edges, length], infinity at the end: all finite values.

  Returns:
    int64 [edges, length].
  """
  dtype = np.float32 if values.dtype == np.float32 else np.float64
  values = values.astype(dtype)  # A copy, to be changed.
  values[~np.isfinite(values)] = np.nan
  limits = edges.astype(dtype)
  return np.stack([np.count_nonzero(values <= limit, axis=0) for limit in limits])


def stability_index(
  baseline: np.ndarray, n_baseline: int, counts: np.ndarray, n_edges: int
) -> float:
  """Returns the population stability index, sum of (p - q) ln(p / q) over the bins.

  Shares of less than half a record, of the smaller data, count as that much.

  Args:
    baseline: shares q of the baseline's values in the bins, [n_edges + 1].
    n_baseline: how many values they are of.
    counts: of new values up to each edge and in all, [at least n_edges + 1].
    n_edges: how many edges the column has.
  """
  total = int(counts[-1])
  if not total or not n_baseline:
    return math.nan
  up_to = np.concatenate([counts[:n_edges], [total]])
  least = 0.5 / min(total, n_baseline)
  new = np.maximum(np.diff(up_to, prepend=0) / total, least)
  old = np.maximum(baseline, least)
  return float(np.sum((new - old) * np.log(new / old)))


class Chance:
  """What differences so many comparisons show when nothing but chance is at work.

  Of `n_comparisons` of samples of the same population, one exceeds these in one of a thousand runs.
  Records count as independent of each other.

  Args:
    n_baseline, n_new: records compared.
    n_comparisons: columns.
  """

  def __init__(self, n_baseline: int, n_new: int, n_comparisons: int):
    self._noise = 1 / max(n_baseline, 1) + 1 / max(n_new, 1)
    self._z = NormalDist().inv_cdf(1 - 0.001 / (2 * max(n_comparisons, 1)))

  def stability_index(self, n_bins: int) -> float:
    """Of the index over so many bins, which is nearly chi-squared (Yurdakul and Naranjo, 2020)."""
    freedom = max(n_bins - 1, 1)
    # The quantile of chi-squared by Wilson and Hilferty, 1931.
    root = 1 - 2 / (9 * freedom) + self._z * math.sqrt(2 / (9 * freedom))
    return freedom * root**3 * self._noise

  def mean_shift(self) -> float:
    """Of a mean, in standard deviations."""
    return self._z * math.sqrt(self._noise)

  def share_change(self, share: float) -> float:
    """Of a share that is `share` over both."""
    return self._z * math.sqrt(max(share * (1 - share), 0.0) * self._noise)

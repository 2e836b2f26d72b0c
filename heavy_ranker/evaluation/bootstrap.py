"""Confidence intervals: the metrics of resamples, drawn a user at a time.

Each resample takes every user a random number of times, Poisson with mean 1, with all examples of
the user: examples of one user are no independent evidence. A resample's metrics come from bins of
the predictions, since sorting each resample anew would take far longer than scoring; the intervals
are then moved by the (small) difference between the metric from bins and the exact one.

The calibration error has no interval: noise alone makes that of any resample larger.

Efron, Tibshirani: An introduction to the bootstrap (1993), the percentile interval; Chamandy et
al.: Estimating uncertainty for massive data streams (Google, 2012), Poisson weights by user.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

import numpy as np

from heavy_ranker.evaluation import prediction_keys, probability_histogram
from heavy_ranker.evaluation.prediction_groups import PredictionGroups, threshold_free_metrics

_BINS_OF_EACH_KIND = 2048
_TABLE_BITS = 16
_FEWEST_VALUES = 10

Interval = tuple[float, float]


class Resamples:
  """How often each unit is in each resample; the same units and seed give the same numbers.

  Args:
    num_units: how many users, or examples where there are no users.
    num_resamples: how many resamples.
    seed: seed of the draws.
  """

  def __init__(self, num_units: int, num_resamples: int, seed: int):
    self._num_units, self._num_resamples, self._seed = num_units, num_resamples, seed
    self._table = _poisson_table()

  def __iter__(self) -> Iterator[np.ndarray]:
    """Yields one resample after the other: uint8 [units]."""
    generator = np.random.default_rng(self._seed)
    for _ in range(self._num_resamples):
      yield self._table[generator.integers(1 << _TABLE_BITS, size=self._num_units, dtype=np.uint16)]


class BinnedTask:
  """A task's examples in at most 4096 bins by prediction, finer towards the top.

  Args:
    keys: predictions and labels, see `prediction_keys`, uint32 [n].
    positive_weight: the weight of an example with label 1.
    negative_weight: the weight of an example with label 0.
  """

  def __init__(self, keys: np.ndarray, positive_weight: float, negative_weight: float):
    self._weights = positive_weight, negative_weight
    probabilities = prediction_keys.probabilities_of(keys)
    fine = probability_histogram.bin_of(probabilities)
    coarse_of = _coarse_bins(np.bincount(fine, minlength=probability_histogram.NUM_BINS))
    coarse = coarse_of[fine]
    self._num_bins = int(coarse_of.max()) + 1
    counts = np.bincount(coarse, minlength=self._num_bins)
    sums = np.bincount(coarse, weights=probabilities, minlength=self._num_bins)
    self._means = sums / np.maximum(counts, 1)
    self._cells = (2 * coarse + prediction_keys.labels_of(keys)).astype(np.uint16)

  def metrics(self, times: Optional[np.ndarray] = None) -> dict[str, float]:
    """Returns the metrics when each example counts `times` [n] times; once when None."""
    counts = np.bincount(self._cells, weights=times, minlength=2 * self._num_bins)
    negatives, positives = counts.reshape(self._num_bins, 2).T
    groups = PredictionGroups(self._means, positives, negatives, *self._weights)
    return threshold_free_metrics(groups)


def task_resamples(
  tasks: Sequence[BinnedTask], units: np.ndarray, resamples: Resamples
) -> list[dict[str, np.ndarray]]:
  """Returns each task's metrics in each resample.

  Args:
    tasks: the tasks' examples.
    units: the unit of each example, [n].
    resamples: how often each unit counts.

  Returns:
    For each task, metric -> float64 [resamples].
  """
  rows: list[list[dict[str, float]]] = [[] for _ in tasks]
  for times in resamples:
    of_examples = times.astype(np.float64)[units]
    for task, values in zip(tasks, rows):
      values.append(task.metrics(of_examples))
  return [
    {name: np.array([row[name] for row in values]) for name in values[0]} if values else {}
    for values in rows
  ]


def mean_resamples(
  values: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray], resamples: Resamples
) -> dict[str, np.ndarray]:
  """Returns the weighted means of values by user in each resample.

  Args:
    values: name -> a value a user, [users]; NaN where a user has none.
    weights: name -> the users' weights, [users].
    resamples: how often each user counts.

  Returns:
    name -> float64 [resamples]; NaN where a resample holds no user with a value.
  """
  if not values:
    return {}
  columns = []
  for name, column in values.items():
    weight = np.where(np.isnan(column), 0.0, weights[name])
    columns += [np.nan_to_num(column) * weight, weight]
  matrix = np.stack(columns)
  sums = np.array([matrix @ times.astype(np.float64) for times in resamples])
  with np.errstate(invalid="ignore", divide="ignore"):
    return {name: sums[:, 2 * i] / sums[:, 2 * i + 1] for i, name in enumerate(values)}


def interval(
  resampled: np.ndarray, center: float, value: float, level: float, scale: float = 1.0
) -> Optional[Interval]:
  """Returns the percentile interval of a metric.

  Args:
    resampled: the metric in each resample, [resamples].
    center: the metric, computed like the resamples', of the data they were drawn from.
    value: the metric itself.
    level: the share of the resamples inside.
    scale: sqrt(examples drawn from / examples measured), which is below 1 where the resamples are
      of a sample only.

  Returns:
    The interval, or None where too many resamples leave the metric undefined.
  """
  defined = resampled[np.isfinite(resampled)]
  too_few = defined.size < max(_FEWEST_VALUES, resampled.size / 2)
  if too_few or not math.isfinite(center) or not math.isfinite(value):
    return None
  tail = (1 - level) / 2
  low, high = np.quantile(defined - center, [tail, 1 - tail]) * scale + value
  return float(low), float(high)


def _coarse_bins(counts: np.ndarray) -> np.ndarray:
  """Joins fine bins with these counts [bins]: even by rank, and by the logarithm of the rank."""
  above = np.cumsum(counts[::-1])[::-1] - counts
  total = max(int(counts.sum()), 1)
  level = np.floor(_BINS_OF_EACH_KIND * (above / (total + 1)))
  level += np.floor(_BINS_OF_EACH_KIND * np.log1p(above) / np.log1p(total + 1))
  return np.unique(-level, return_inverse=True)[1]


def _poisson_table() -> np.ndarray:
  """Returns numbers that, drawn evenly, are Poisson with mean 1 up to 2^-16."""
  chances = [math.exp(-1) / math.factorial(count) for count in range(20)]
  evenly = (np.arange(1 << _TABLE_BITS) + 0.5) / (1 << _TABLE_BITS)
  return np.searchsorted(np.cumsum(chances), evenly).astype(np.uint8)

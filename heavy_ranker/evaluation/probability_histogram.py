"""Fine histograms of predictions: a bounded memory of their order.

Bins are cut by the upper bits of a float32: 1024 to each factor of 2, from 2^-40 up to 1/2, and
likewise of 1 - p from 1/2 up to 1, so that predictions next to 1 are told apart as well as those
next to 0. A bin is about 0.1% of p (of 1 - p above 1/2) wide.
"""

import numpy as np

from heavy_ranker.evaluation.prediction_groups import PredictionGroups

_MANTISSA_BITS = 10
_SHIFT = np.uint32(23 - _MANTISSA_BITS)
# The bits of 2^-40 and of 1/2 (biased exponents 87 and 126), shifted.
_FIRST, _HALF = 87 << _MANTISSA_BITS, 126 << _MANTISSA_BITS
_LOWER_BINS = _HALF - _FIRST + 1
NUM_BINS = 2 * _LOWER_BINS + 1


def bin_of(probabilities: np.ndarray) -> np.ndarray:
  """Returns the bin of each prediction in [0, 1], int32 of the same shape; it rises with it."""
  probabilities = np.asarray(probabilities, np.float32)
  is_upper = probabilities >= 0.5
  # Above 1/2 the difference is exact.
  bits = np.where(is_upper, np.float32(1) - probabilities, probabilities).view(np.uint32) >> _SHIFT
  distance = np.maximum(bits.astype(np.int32) - (_FIRST - 1), 0)
  return np.where(is_upper, NUM_BINS - 1 - distance, distance)


def bin_edges() -> np.ndarray:
  """Returns the predictions between the bins, with 0 and 1: float64 [NUM_BINS + 1], ascending."""
  bits = (np.arange(_FIRST, _HALF + 1, dtype=np.uint32)) << _SHIFT
  lower = bits.view(np.float32).astype(np.float64)
  return np.concatenate([[0.0], lower, 1.0 - lower[::-1], [1.0]])


class ProbabilityHistogram:
  """Counts of predictions by task, bin and class.

  Args:
    num_tasks: how many tasks.

  Attributes:
    counts: int64 [tasks, NUM_BINS, 2], the last axis being the label.
  """

  def __init__(self, num_tasks: int):
    self.counts = np.zeros((num_tasks, NUM_BINS, 2), np.int64)

  def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Adds examples: predictions [n, tasks] and their labels, bool [n, tasks]."""
    cells = 2 * bin_of(probabilities) + labels
    for task, counts in enumerate(self.counts):
      counts += np.bincount(cells[:, task], minlength=2 * NUM_BINS).reshape(NUM_BINS, 2)

  def groups(self, task: int, positive_weight: float, negative_weight: float) -> PredictionGroups:
    """Returns a task's bins that hold examples, each with its middle as the prediction."""
    used = np.flatnonzero(self.counts[task].any(axis=1))
    edges = bin_edges()
    middles = (edges[used] + edges[used + 1]) / 2
    negatives, positives = self.counts[task][used].T
    return PredictionGroups(middles, positives, negatives, positive_weight, negative_weight)

  def edges(self, task: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lower and the upper ends of the bins that `groups` returns."""
    used = np.flatnonzero(self.counts[task].any(axis=1))
    edges = bin_edges()
    return edges[used], edges[used + 1]

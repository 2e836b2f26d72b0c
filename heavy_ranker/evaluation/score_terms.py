"""The score as a sum of one term a task, in NumPy, for probabilities that were predicted before."""

from collections.abc import Sequence

import numpy as np

from heavy_ranker.config.score import ScoreConfig

_ROWS_AT_ONCE = 1 << 16


class ScoreTerms:
  """weight * probability of each task; of tasks of which only the largest counts, the others are 0.

  The terms add up to the score before `negative_squash_epsilon`, which keeps the order.

  Args:
    config: the section `score`.
    tasks: the model's tasks in order.
  """

  def __init__(self, config: ScoreConfig, tasks: Sequence[str]):
    self._weights = np.array([config.weight_of(task) or 0.0 for task in tasks], np.float64)
    groups = [
      [tasks.index(task) for task in group if task in tasks] for group in config.only_largest_of
    ]
    self._groups = [group for group in groups if len(group) > 1]

  def __call__(self, probabilities: np.ndarray) -> np.ndarray:
    """Maps probabilities [n, tasks] to terms, float64 [n, tasks]."""
    return self._terms(probabilities, self._weights)

  def scores(self, columns: Sequence[np.ndarray]) -> np.ndarray:
    """Returns what orders as the scores do, float32 [n].

    They are the scores by a power of 2, so that no weight is too large or too small for a float32.

    Args:
      columns: the probabilities of one task after the other, [n] each.
    """
    _, exponent = np.frexp(np.abs(self._weights).max())
    weights = np.ldexp(self._weights, -exponent)
    result = np.empty(len(columns[0]), np.float32)
    for first in range(0, result.size, _ROWS_AT_ONCE):
      rows = slice(first, first + _ROWS_AT_ONCE)
      probabilities = np.stack([column[rows] for column in columns], axis=1)
      result[rows] = self._terms(probabilities, weights).sum(axis=1)
    return result

  def _terms(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    terms = probabilities.astype(np.float64) * weights
    for group in self._groups:
      largest = probabilities[:, group].argmax(axis=1)
      terms[:, group] *= np.arange(len(group)) == largest[:, np.newaxis]
    return terms

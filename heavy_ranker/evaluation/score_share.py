"""What each task contributes to the score."""

from collections.abc import Sequence

import numpy as np

from heavy_ranker.config.score import ScoreConfig


class ScoreShare:
  """Moments of weight * probability by task, over examples as they are read.

  Of the tasks of which only the largest counts, the others contribute 0, so that contributions add
  up to the score (before `negative_squash_epsilon`, which keeps the order).

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
    self._count = 0
    self._sums = np.zeros(len(tasks))
    self._absolute = np.zeros(len(tasks))
    self._with_score = np.zeros(len(tasks))

  def add(self, probabilities: np.ndarray) -> None:
    """Adds examples: the predictions of all the model's tasks, [n, tasks]."""
    terms = probabilities.astype(np.float64) * self._weights
    for group in self._groups:
      largest = probabilities[:, group].argmax(axis=1)
      terms[:, group] *= np.arange(len(group)) == largest[:, np.newaxis]
    score = terms.sum(axis=1)
    self._count += len(terms)
    self._sums += terms.sum(axis=0)
    self._absolute += np.abs(terms).sum(axis=0)
    self._with_score += score @ terms

  def shares(self) -> list[dict[str, float]]:
    """Returns for each task its share of the score.

    `mean`: mean |weight * probability|, as a share of the tasks' sum. `variance`: covariance of
    weight * probability with the score, as a share of the score's variance; below 0 for a task that
    moves against the score. Each sums to 1 over the tasks; NaN where the sum is 0.
    """
    count = max(self._count, 1)
    means = self._sums / count
    covariances = self._with_score / count - means * means.sum()
    mean_shares = _shares(self._absolute / count, 0.0)
    variance_shares = _shares(covariances, 1e-12 * float(means.sum()) ** 2)
    return [
      {"mean": float(mean), "variance": float(variance)}
      for mean, variance in zip(mean_shares, variance_shares)
    ]


def _shares(values: np.ndarray, least: float) -> np.ndarray:
  total = values.sum()
  return values / total if total > least else np.full(values.shape, np.nan)

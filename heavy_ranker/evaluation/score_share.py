"""What each task contributes to the score."""

from collections.abc import Sequence

import numpy as np

from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation.score_terms import ScoreTerms


class ScoreShare:
  """Moments of the score's terms (see `ScoreTerms`) by task, over examples as they are read.

  Args:
    config: the section `score`.
    tasks: the model's tasks in order.
  """

  def __init__(self, config: ScoreConfig, tasks: Sequence[str]):
    self._terms = ScoreTerms(config, tasks)
    self._count = 0
    self._sums = np.zeros(len(tasks))
    self._absolute = np.zeros(len(tasks))
    self._with_score = np.zeros(len(tasks))

  def add(self, probabilities: np.ndarray) -> None:
    """Adds examples: the predictions of all the model's tasks, [n, tasks]."""
    terms = self._terms(probabilities)
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

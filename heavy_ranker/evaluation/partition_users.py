"""The users of a partition, and the metrics that each of them has."""

from typing import Optional

import numpy as np

from heavy_ranker.config.evaluation import RANKING_METRICS
from heavy_ranker.evaluation import prediction_keys
from heavy_ranker.evaluation.partition_meter import PartitionMeter
from heavy_ranker.evaluation.user_metrics import user_aurocs, user_rankings


class PartitionUsers:
  """Units that resamples are drawn of: the users, or every example where there are none.

  Args:
    meter: the partition, read to its end.

  Attributes:
    count: how many units.
    of_examples: the unit of each stored example, a number below `count`, [n].
    ids: the users' ids in the order of these numbers; None without users.
  """

  def __init__(self, meter: PartitionMeter):
    self._subject, self._store = meter.subject, meter.store
    units = meter.store.units()
    self.ids: Optional[np.ndarray] = None
    self.count, self.of_examples = units.size, np.arange(units.size)
    if meter.subject.no_users is None:
      self.ids, self.of_examples = np.unique(units, return_inverse=True)
      self.count = self.ids.size

  def aurocs(self, task: int, chosen: Optional[np.ndarray] = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the AUROC of each user in a task, NaN without both classes, and the user's weight.

    Args:
      task: the task's index.
      chosen: which stored examples to look at, bool [n]; all when None.

    Returns:
      Two arrays [users]; empty without users, or if nobody wants GAUC.
    """
    if self.ids is None or "grouped_auc" not in self._subject.metrics:
      return np.zeros(0), np.zeros(0)
    keys, users = self._store.keys(task), self.of_examples
    if chosen is not None:
      keys, users = keys[chosen], users[chosen]
    class_weights = np.array(self._subject.class_weights[task])
    weights = class_weights[prediction_keys.labels_of(keys).astype(np.int8)]
    impressions = np.bincount(users, weights=weights, minlength=self.count)
    return user_aurocs(users, self.count, keys), impressions

  def rankings(self) -> dict[str, np.ndarray]:
    """Returns the ranking metrics of each user, NaN without engagement, by "METRIC@CUTOFF".

    The arrays are empty without users and where no measured task counts as engagement.
    """
    cutoffs = self._subject.settings.ranking_cutoffs
    names = [name for name in RANKING_METRICS if name in self._subject.metrics]
    if self.ids is None or not self.engaging_tasks() or not names:
      return {f"{name}@{cutoff}": np.zeros(0) for name in names for cutoff in cutoffs}
    scores, engaged = self._store.scores(), self.engaged()
    columns = user_rankings(self.of_examples, self.count, scores, engaged, cutoffs)
    return {name: column for name, column in columns.items() if name.split("@")[0] in names}

  def engaged(self) -> np.ndarray:
    """Returns which stored examples the user engaged with in any way, bool [n]."""
    engaged = np.zeros(len(self._store), bool)
    for task in self.engaging_tasks():
      engaged |= prediction_keys.labels_of(self._store.keys(task))
    return engaged

  def engaging_tasks(self) -> list[int]:
    """Returns the indices of the measured tasks that are engagement: those the score rewards."""
    weight_of = self._subject.score.weight_of
    return [i for i, task in enumerate(self._subject.tasks) if (weight_of(task) or 0.0) > 0]


def weighted_mean(values: np.ndarray, weights: Optional[np.ndarray] = None) -> float:
  """Returns the weighted mean of the values that are not NaN; NaN without any."""
  defined = ~np.isnan(values)
  weights = np.ones(values.size) if weights is None else weights
  total = weights[defined].sum()
  return float(np.dot(values[defined], weights[defined]) / total) if total > 0 else float("nan")

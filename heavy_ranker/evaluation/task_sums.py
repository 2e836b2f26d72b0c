"""Sums over examples, in float64: what they decide is exact however many examples there are."""

import numpy as np

from heavy_ranker.evaluation.prediction_groups import losses, metrics_of_sums


class TaskSums:
  """Counts, predictions and losses by task and class.

  Args:
    num_tasks: how many tasks.

  Attributes:
    counts: examples with label 0 and with label 1, int64 [tasks, 2].
  """

  def __init__(self, num_tasks: int):
    self.counts = np.zeros((num_tasks, 2), np.int64)
    self._predicted = np.zeros((num_tasks, 2))
    self._loss = np.zeros((num_tasks, 2))

  def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Adds examples: predictions [n, tasks] and their labels, bool [n, tasks]."""
    probabilities = probabilities.astype(np.float64)
    if_positive, if_negative = losses(probabilities)
    positives = labels.sum(axis=0)
    self.counts += np.stack([len(labels) - positives, positives], axis=1)
    predicted = (probabilities * labels).sum(axis=0)
    self._predicted += np.stack([probabilities.sum(axis=0) - predicted, predicted], axis=1)
    self._loss += np.stack(
      [(if_negative * ~labels).sum(axis=0), (if_positive * labels).sum(axis=0)], axis=1
    )

  def metrics(self, task: int, positive_weight: float, negative_weight: float) -> dict[str, float]:
    """Returns the metrics that sums decide, by name, for a task's index and its class weights."""
    weights = np.array([negative_weight, positive_weight])
    negative, positive = self.counts[task] * weights
    predicted = float(self._predicted[task] @ weights)
    return metrics_of_sums(positive, negative, predicted, float(self._loss[task] @ weights))

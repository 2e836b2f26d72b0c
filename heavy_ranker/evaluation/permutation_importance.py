"""What a metric loses when columns of the inputs are permuted over the examples.

Breiman: Random forests, Machine Learning 45, 2001; grouped columns are permuted together, by the
same permutation, so that what they say of each other stays.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import numpy as np

from heavy_ranker.config.evaluation import IMPORTANCE_METRICS
from heavy_ranker.evaluation.feature_columns import Columns, FeatureGroup
from heavy_ranker.evaluation.labelled_examples import LabelledExamples
from heavy_ranker.evaluation.metrics import METRICS
from heavy_ranker.evaluation.undefined import reasons

# Inputs [batch, width] by name -> probabilities [batch, tasks].
Predict = Callable[[Mapping[str, np.ndarray]], np.ndarray]
_LOWER_IS_BETTER = ("log_loss",)


class PermutationImportance:
  """Measures groups of columns on examples in memory.

  Args:
    predict: the model.
    examples: the examples.
    tasks: names of the tasks, in the order of predictions and labels.
    metric: one of `IMPORTANCE_METRICS`.
    batch_size: how many examples the model gets at once.
    repeats: how many permutations.
    seed: seed of the permutations, which are the same for all groups.

  Attributes:
    baseline: the metric by task, nothing permuted; NaN where undefined.
    reasons: why it is, by task.
  """

  def __init__(
    self,
    predict: Predict,
    examples: LabelledExamples,
    tasks: Sequence[str],
    metric: str,
    batch_size: int,
    repeats: int,
    seed: int,
  ):
    if metric not in IMPORTANCE_METRICS:
      raise ValueError(f"metric: found {metric!r}, allowed: {', '.join(IMPORTANCE_METRICS)}")
    self._predict, self._examples, self._tasks = predict, examples, tuple(tasks)
    self._metric, self._batch_size = metric, batch_size
    self._sign = -1.0 if metric in _LOWER_IS_BETTER else 1.0
    self._orders = [
      np.random.default_rng([seed, repeat]).permutation(len(examples.labels))
      for repeat in range(repeats)
    ]
    self._values = self._measure(None, {})
    self.baseline = dict(zip(self._tasks, self._values.tolist()))
    self.reasons = self._reasons()

  def measure(self, group: FeatureGroup, on_pass: Callable[[], Any]) -> dict[str, Any]:
    """Returns a group's entry in the file, see docs/evaluation.md.

    Args:
      group: the columns.
      on_pass: called after each pass over the examples.
    """
    drops = []
    for order in self._orders:
      drops.append(self._sign * (self._values - self._measure(order, group.columns)))
      on_pass()
    means, low, high = np.mean(drops, axis=0), np.min(drops, axis=0), np.max(drops, axis=0)
    has_spread = len(drops) > 1
    return {
      "name": group.name,
      "features": list(group.features),
      "drop": self._by_task(means),
      "drop_low": self._by_task(low) if has_spread else None,
      "drop_high": self._by_task(high) if has_spread else None,
    }

  def _by_task(self, values: np.ndarray) -> dict[str, float]:
    return dict(zip(self._tasks, values.tolist()))

  def _measure(self, order: Optional[np.ndarray], permuted: Columns) -> np.ndarray:
    """Returns the metric of each task with the rows of these columns in this order."""
    size, parts = len(self._examples.labels), []
    for first in range(0, size, self._batch_size):
      rows = slice(first, first + self._batch_size)
      batch = {name: values[rows] for name, values in self._examples.features.items()}
      for name, places in permuted.items():
        batch[name] = batch[name].copy()
        batch[name][:, places] = self._examples.features[name][np.ix_(order[rows], places)]
      parts.append(self._predict(batch))
    probabilities = np.concatenate(parts)
    metric, labels, weights = METRICS[self._metric], self._examples.labels, self._examples.weights
    columns = zip(probabilities.T, labels.T, weights.T)
    return np.array([metric(*of_task) for of_task in columns])

  def _reasons(self) -> dict[str, str]:
    counts = self._examples.labels.sum(axis=0)
    found = {}
    for task, value, positives in zip(self._tasks, self._values, counts):
      values = {self._metric: value, "examples": len(self._examples.labels), "positives": positives}
      if not math.isfinite(value):
        found[task] = reasons(values)[self._metric]
    return found

"""Probabilities -> score: the weighted sum that orders a timeline."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.score import ScoreConfig


class Score(keras.layers.Layer):
  """sum over tasks of weight * probability, where of each exclusive group only the largest counts.

  With S+ and S- the sums of the positive and of the absolute negative weights and e the
  `negative_squash_epsilon`, a sum s < 0 becomes (s + S-) / (S+ + S-) * e and s >= 0 becomes s + e:
  scores stay positive and negatives keep their order.

  Args:
    config: weights, groups, squash.
    tasks: the model's tasks in order.
    name: the layer's name.
  """

  def __init__(self, config: ScoreConfig, tasks: Sequence[str], name: Optional[str] = None):
    super().__init__(name=name)
    self._squash_epsilon = config.negative_squash_epsilon
    weights = {task: float(config.weight_of(task) or 0.0) for task in tasks}
    groups = [[task for task in group if task in tasks] for group in config.only_largest_of]
    self._groups = [[tasks.index(task) for task in group] for group in groups if group]
    self._group_weights = [weights[tasks[group[0]]] for group in self._groups]
    grouped = {index for group in self._groups for index in group}
    self._weights = np.array(
      [0.0 if index in grouped else weights[task] for index, task in enumerate(tasks)], np.float32
    )
    terms = [*self._weights, *self._group_weights]
    self._positive_sum = float(sum(weight for weight in terms if weight > 0))
    self._negative_sum = float(-sum(weight for weight in terms if weight < 0))

  def call(self, probabilities: tf.Tensor) -> tf.Tensor:
    """Maps probabilities [batch, tasks] to scores [batch]."""
    score = tf.linalg.matvec(probabilities, self._weights)
    for group, weight in zip(self._groups, self._group_weights):
      score += weight * tf.reduce_max(tf.gather(probabilities, group, axis=1), axis=1)
    return score if self._squash_epsilon is None else self._squash(score)

  def _squash(self, score: tf.Tensor) -> tf.Tensor:
    total = self._positive_sum + self._negative_sum
    if total == 0.0:
      return score + self._squash_epsilon
    squashed = (score + self._negative_sum) / total * self._squash_epsilon
    return tf.where(score < 0.0, squashed, score + self._squash_epsilon)

"""Optimizers of large tables: only the rows a batch looked up change."""

from typing import Any, Literal

import tensorflow as tf
import tf_keras as keras


class Sgd(keras.optimizers.legacy.SGD):
  """row -= lr * gradient, where a row's gradients are added up before: in one order, always."""

  def create_variables(self, variables: list[tf.Variable]) -> None:
    """Creates the step counter now, so that the first step is traced once."""
    _ = self.iterations
    self._create_hypers()
    self._create_slots(variables)

  def _resource_apply_sparse_duplicate_indices(
    self, grad: tf.Tensor, handle: tf.Variable, indices: tf.Tensor, **kwargs: Any
  ) -> tf.Operation:
    # TensorFlow scatters equal indices side by side, and float sums depend on their order.
    rows, positions = tf.unique(indices)
    total = tf.math.unsorted_segment_sum(grad, positions, tf.size(rows))
    return super()._resource_apply_sparse_duplicate_indices(total, handle, rows, **kwargs)


class Adagrad(keras.optimizers.legacy.Adagrad):
  """row -= lr * gradient / (sqrt(0.1 + sum of its squares so far) + 1e-7), element by element."""

  def create_variables(self, variables: list[tf.Variable]) -> None:
    """Creates the step counter and the sums now, so that the first step is traced once."""
    _ = self.iterations
    self._create_hypers()
    self._create_slots(variables)


def make_sparse_optimizer(
  algorithm: Literal["sgd", "adagrad"],
  learning_rate: keras.optimizers.schedules.LearningRateSchedule,
) -> keras.optimizers.legacy.Optimizer:
  """Returns the optimizer of the large tables.

  Args:
    algorithm: as in `model.large_embeddings.optimizer`.
    learning_rate: a schedule of the number of updates made before.
  """
  return {"sgd": Sgd, "adagrad": Adagrad}[algorithm](learning_rate)

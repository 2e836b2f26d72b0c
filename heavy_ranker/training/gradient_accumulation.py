"""One update out of several micro-batches: what one large batch does, in the memory of a small one.

The losses and gradients of a micro-batch are parts that add up, as those of a replica are. Each
replica adds up its own, so that the replicas talk to each other once an update, when it is made.
Batch norm alone sees a micro-batch at a time.
"""

import tensorflow as tf

from heavy_ranker.training.multi_task_ranker import Gradient, MultiTaskRanker


class GradientAccumulation:
  """Sums of losses and gradients since the last update, on each replica its own.

  For an update of N micro-batches call `add` for N - 1 of them and `totals` for the last, then
  `start_over`, all as a replica under `strategy.run`; see `heavy_ranker.training.guarded_updates`.
  The sums are no part of a checkpoint: those are written between updates, when the sums are 0.

  The sum of a sparse gradient is held densely, in the variable's shape, and handed to the
  optimizer as the rows that are not 0.

  Args:
    model: its `global_batch_size` counts the examples of all micro-batches. Build the accumulation
      under its strategy.
    num_tasks: how many losses the model has.
  """

  def __init__(self, model: MultiTaskRanker, num_tasks: int):
    self._losses = {
      "loss": _sum_of([], tf.float32),
      "task_losses": _sum_of([num_tasks], tf.float32),
    }
    self._gradients = [_sum_of(variable.shape, variable.dtype) for variable in model.trained]

  def add(self, losses: dict[str, tf.Tensor], gradients: list[Gradient]) -> None:
    """Adds this replica's part of `loss`, `task_losses` and gradients to its sums."""
    for name, part in losses.items():
      self._losses[name].assign_add(part)
    for total, gradient in zip(self._gradients, gradients):
      if gradient is not None:
        total.assign_add(tf.convert_to_tensor(gradient))

  def totals(
    self, losses: dict[str, tf.Tensor], gradients: list[Gradient]
  ) -> tuple[dict[str, tf.Tensor], list[Gradient]]:
    """Returns the sums and this replica's part of the last micro-batch, added up."""
    return (
      {name: self._losses[name] + part for name, part in losses.items()},
      [_added(total, gradient) for total, gradient in zip(self._gradients, gradients)],
    )

  def start_over(self) -> None:
    """Sets the sums to 0."""
    for total in (*self._losses.values(), *self._gradients):
      total.assign(tf.zeros_like(total))


def _sum_of(shape: tf.TensorShape, dtype: tf.DType) -> tf.Variable:
  """Returns a sum that starts at 0 and is each replica's own: nothing is sent to add to it."""
  return tf.Variable(
    tf.zeros(shape, dtype),
    trainable=False,
    synchronization=tf.VariableSynchronization.ON_READ,
    aggregation=tf.VariableAggregation.SUM,
  )


def _added(total: tf.Variable, gradient: Gradient) -> Gradient:
  if gradient is None:
    return None
  added = total + tf.convert_to_tensor(gradient)
  if not isinstance(gradient, tf.IndexedSlices):
    return added
  is_used = tf.reduce_any(tf.not_equal(added, 0), axis=list(range(1, len(added.shape))))
  rows = tf.where(is_used)[:, 0]
  return tf.IndexedSlices(tf.gather(added, rows), rows, tf.shape(added, tf.int64))

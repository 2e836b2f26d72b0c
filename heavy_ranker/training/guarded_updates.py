"""Updates that are made whole or not at all: only with a finite loss and finite gradients.

Whether they are finite is decided on the devices, before anything depends on it. A batch for which
they are not leaves no trace in the model: weights and optimizers are not touched, and what the
forward pass has moved (running statistics, counters of dropout masks) is put back, so that training
goes on as if the data did not hold the batch.
"""

from typing import Callable, Optional

import tensorflow as tf

from heavy_ranker.training.gradient_accumulation import GradientAccumulation
from heavy_ranker.training.gradient_clipping import GradientClipping
from heavy_ranker.training.gradient_norms import GradientNorms, summed_rows
from heavy_ranker.training.multi_task_ranker import Batch, Gradient, MultiTaskRanker

Outputs = dict[str, tf.Tensor]
# A gradient in plain tensors, as they pass from one `strategy.run` to the next.
_Parts = list[tuple[tf.Tensor, ...]]


class GuardedUpdates:
  """What a training step does, in cross-replica context.

  Its methods return, as scalars unless stated otherwise:
    is_finite: whether the batch was used.
    is_overflow: whether float16 could not hold its gradients; the next batches have a lower scale.
    loss, task_losses: over all replicas; task_losses is [tasks].
    gradient_norms: of each group, [groups]; `accumulate` adds up the squares of the replicas.

  Args:
    strategy: the one the model was built under.
    model: the compiled model.
    norms: measures the gradients of the model's variables by group.
    part_of: cuts a replica's part out of a global batch.
    accumulation: the sums of micro-batches, if an update is made of several.
    clipping: cuts the update's gradients, if they are to be cut.
  """

  def __init__(
    self,
    strategy: tf.distribute.Strategy,
    model: MultiTaskRanker,
    norms: GradientNorms,
    part_of: Callable[[Batch], Batch],
    accumulation: Optional[GradientAccumulation] = None,
    clipping: Optional[GradientClipping] = None,
  ):
    self._strategy, self._model, self._norms = strategy, model, norms
    self._part_of, self._accumulation, self._clipping = part_of, accumulation, clipping
    # Others cannot change in a forward pass: replicas would not know how to agree on the value.
    self._moved = [
      variable
      for variable in model.ranker.non_trainable_variables
      if variable.aggregation != tf.VariableAggregation.NONE
    ]

  def update(self, batch: Batch) -> Outputs:
    """Makes one update with a global batch, the last of the accumulated ones if there are such."""
    return self._guarded(batch, self._update_parts, self._apply, are_sums=False)

  def accumulate(self, batch: Batch) -> Outputs:
    """Adds a global batch to the sums and changes no trainable variable."""
    return self._guarded(batch, self._own_parts, self._add, are_sums=True)

  def _guarded(self, batch: Batch, compute: Callable, use: Callable, are_sums: bool) -> Outputs:
    run, per_replica = self._strategy.run, self._strategy.experimental_local_results
    before = run(lambda: [tf.identity(variable) for variable in self._moved])
    own, gradients, squares = run(compute, args=(batch,))
    losses = {name: self._sum(part) for name, part in own.items()}
    # Aggregated gradients are the same on all replicas.
    squares = self._sum(squares) if are_sums else per_replica(squares)[0]
    numbers = tf.concat([squares, losses["task_losses"], losses["loss"][tf.newaxis]], axis=0)
    is_finite = tf.reduce_all(tf.math.is_finite(numbers))

    def used() -> tuple[tf.Tensor, tf.Tensor]:
      run(use, args=(own, gradients, squares))
      if self._model.loss_scale is not None and not are_sums:
        self._model.loss_scale.grow()
      return tf.constant(True), tf.constant(False)

    def left() -> tuple[tf.Tensor, tf.Tensor]:
      run(self._put_back, args=(before,))
      return tf.constant(False), self._is_overflow(losses["loss"])

    is_used, is_overflow = tf.cond(is_finite, used, left)
    return {
      **losses,
      "is_finite": is_used,
      "is_overflow": is_overflow,
      "gradient_norms": tf.sqrt(squares),
    }

  def _is_overflow(self, loss: tf.Tensor) -> tf.Tensor:
    """Lowers the scale of the loss if that may help, and returns whether it did."""
    if self._model.loss_scale is None:
      return tf.constant(False)
    return tf.logical_and(tf.math.is_finite(loss), self._model.loss_scale.shrink())

  def _own_parts(self, batch: Batch) -> tuple[Outputs, _Parts, tf.Tensor]:
    losses, gradients = self._model.losses_and_gradients(self._part_of(batch))
    gradients = [summed_rows(gradient) for gradient in gradients]
    return losses, self._plain(gradients), self._norms.squares(gradients)

  def _update_parts(self, batch: Batch) -> tuple[Outputs, _Parts, tf.Tensor]:
    losses, gradients = self._model.losses_and_gradients(self._part_of(batch))
    if self._accumulation is not None:
      losses, gradients = self._accumulation.totals(losses, gradients)
    there = [gradient for gradient in gradients if gradient is not None]
    context = tf.distribute.get_replica_context()
    reduced = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    gradients = [None if each is None else summed_rows(next(reduced)) for each in gradients]
    return losses, self._plain(gradients), self._norms.squares(gradients)

  def _apply(self, losses: Outputs, parts: _Parts, squares: tf.Tensor) -> None:
    del losses
    gradients = self._gradients(parts)
    if self._clipping is not None:
      gradients = self._clipping(gradients, squares)
    self._model.apply_gradients(gradients)
    if self._accumulation is not None:
      self._accumulation.start_over()

  def _add(self, losses: Outputs, parts: _Parts, squares: tf.Tensor) -> None:
    del squares
    self._accumulation.add(losses, self._gradients(parts))

  def _put_back(self, before: list[tf.Tensor]) -> None:
    for variable, value in zip(self._moved, before):
      variable.assign(value)

  def _sum(self, parts: tf.Tensor) -> tf.Tensor:
    return self._strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None)

  def _plain(self, gradients: list[Gradient]) -> _Parts:
    plain = []
    for gradient in gradients:
      if isinstance(gradient, tf.IndexedSlices):
        plain.append((gradient.values, gradient.indices))
      else:
        plain.append(() if gradient is None else (gradient,))
    return plain

  def _gradients(self, parts: _Parts) -> list[Gradient]:
    gradients = []
    for part, variable in zip(parts, self._model.trained):
      if len(part) == 2:
        values, indices = part
        shape = tf.constant(variable.shape.as_list(), indices.dtype)
        gradients.append(tf.IndexedSlices(values, indices, shape))
      else:
        gradients.append(part[0] if part else None)
    return gradients

"""Dynamic loss scaling, which float16 needs (Micikevicius et al., arXiv 1710.03740)."""

from typing import Union

import tensorflow as tf

# None for a variable the loss does not depend on.
Gradient = Union[tf.Tensor, tf.IndexedSlices, None]

_INITIAL = 2.0**15
_LARGEST = 2.0**24
_FACTOR = 2.0
_UPDATES_TO_GROW = 2000


class LossScale:
  """Multiplies the loss so that small gradients are not lost in float16, and divides them again.

  Whoever leaves an update out because a gradient is not finite, which
  `heavy_ranker.training.guarded_updates` does, halves the scale, but not below 1; after 2000
  updates in a row it is doubled, up to 2^24. These are powers of 2: the gradients that arrive are
  those of the unscaled loss, exactly.

  Make it under the strategy's scope.

  Attributes:
    scale: the factor, a float32 scalar.
    updates: updates since the scale last changed, an int64 scalar.
  """

  def __init__(self) -> None:
    self.scale = _replicated(tf.constant(_INITIAL))
    self.updates = _replicated(tf.constant(0, tf.int64))

  @property
  def variables(self) -> dict[str, tf.Variable]:
    """The state by name, to be saved with a run."""
    return {"scale": self.scale, "updates": self.updates}

  def scaled(self, loss: tf.Tensor) -> tf.Tensor:
    """Returns the loss to differentiate."""
    return loss * self.scale

  def unscaled(self, gradients: list[Gradient]) -> list[Gradient]:
    """Returns the gradients of the loss itself, float32."""
    return [_multiplied(gradient, 1.0 / self.scale) for gradient in gradients]

  def grow(self) -> tf.Tensor:
    """Counts an update, in cross-replica context; returns whether that raised the scale."""
    updates = self.updates + 1
    due = tf.equal(updates, _UPDATES_TO_GROW)
    self.scale.assign(tf.where(due, tf.minimum(self.scale * _FACTOR, _LARGEST), self.scale))
    self.updates.assign(tf.where(due, tf.zeros_like(updates), updates))
    return due

  def shrink(self) -> tf.Tensor:
    """Lowers the scale, in cross-replica context; returns whether it was above 1."""
    before = tf.identity(self.scale)
    self.scale.assign(tf.maximum(before / _FACTOR, 1.0))
    self.updates.assign(tf.zeros_like(self.updates))
    return before > 1.0


def _replicated(value: tf.Tensor) -> tf.Variable:
  return tf.Variable(value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)


def _multiplied(gradient: Gradient, factor: tf.Tensor) -> Gradient:
  if gradient is None:
    return None
  if isinstance(gradient, tf.IndexedSlices):
    return tf.IndexedSlices(gradient.values * factor, gradient.indices, gradient.dense_shape)
  return gradient * factor

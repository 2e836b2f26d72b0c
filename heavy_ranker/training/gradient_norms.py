"""How long the gradient is, a group of variables at a time."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from heavy_ranker.training.multi_task_ranker import Gradient


class GradientNorms:
  """Measures gradients by group.

  Args:
    trained: the variables the gradients belong to, in their order.
    groups: variables by group, see `heavy_ranker.training.optimizer.variable_groups`.

  Attributes:
    groups: the groups' names, in the order of what is returned.
  """

  def __init__(self, trained: Sequence[tf.Variable], groups: Mapping[str, Sequence[tf.Variable]]):
    self.groups = tuple(groups)
    places = {variable.ref(): place for place, variable in enumerate(trained)}
    self._places = [[places[variable.ref()] for variable in group] for group in groups.values()]

  def squares(self, gradients: Sequence[Gradient]) -> tf.Tensor:
    """Returns the squared Euclidean norm of each group's gradients, float32 [groups].

    It is not finite if any element is not, or if a square is too large for a float32, which it
    would be in Adam's second moment, too.

    Args:
      gradients: in the order of `trained`; rows of sparse ones occur once, see `summed_rows`.
    """
    return tf.stack([self._square([gradients[place] for place in group]) for group in self._places])

  def by_variable(self, of_groups: tf.Tensor) -> list[tf.Tensor]:
    """Returns a number a group, [groups], as a scalar for each of `trained`."""
    numbers = tf.unstack(of_groups)
    found = {place: numbers[at] for at, group in enumerate(self._places) for place in group}
    return [found[place] for place in range(len(found))]

  def _square(self, gradients: Sequence[Gradient]) -> tf.Tensor:
    halves = [
      tf.nn.l2_loss(gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient)
      for gradient in gradients
      if gradient is not None
    ]
    return (
      2.0 * tf.add_n([tf.cast(half, tf.float32) for half in halves]) if halves else tf.zeros([])
    )


def summed_rows(gradient: Gradient) -> Gradient:
  """Returns a sparse gradient with each row once, as the sum of its parts; others as they are.

  Rows keep the order in which they first occur and parts are added in theirs, as optimizers do it.
  """
  if not isinstance(gradient, tf.IndexedSlices):
    return gradient
  rows, places = tf.unique(gradient.indices)
  values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
  return tf.IndexedSlices(values, rows, gradient.dense_shape)

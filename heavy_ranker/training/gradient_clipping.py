"""Gradients cut down before the optimizers see them: by value, by global norm or by group norm."""

from collections.abc import Sequence

import tensorflow as tf

from heavy_ranker.config.optimizer import GradientClippingConfig
from heavy_ranker.training.gradient_norms import GradientNorms
from heavy_ranker.training.multi_task_ranker import Gradient


class GradientClipping:
  """g -> g min(1, c / |g|) (Pascanu, Mikolov and Bengio, arXiv 1211.5063), or each element cut.

  The norm |g| is that of the whole update's gradient, over all replicas and micro-batches: of all
  variables together (`by_global_norm`), or of each learning-rate group on its own
  (`by_group_norm`). `by_value` cuts elements to [-c, c], and does so first.

  Args:
    config: the section `optimizer.gradient_clipping`.
    norms: measures the gradients.
  """

  def __init__(self, config: GradientClippingConfig, norms: GradientNorms):
    self._config, self._norms = config, norms

  def __call__(self, gradients: Sequence[Gradient], squares: tf.Tensor) -> list[Gradient]:
    """Returns the clipped gradients.

    Args:
      gradients: all of them finite; rows of sparse ones occur once.
      squares: their squared norms, [groups], from `norms`.
    """
    config, gradients = self._config, list(gradients)
    if config.by_value is not None:
      limit = config.by_value
      gradients = [
        _mapped(gradient, lambda values: tf.clip_by_value(values, -limit, limit))
        for gradient in gradients
      ]
      squares = self._norms.squares(gradients)
    if config.by_global_norm is not None:
      total = tf.reduce_sum(squares)
      return self._scaled(gradients, tf.fill(tf.shape(squares), total), config.by_global_norm)
    if config.by_group_norm is not None:
      return self._scaled(gradients, squares, config.by_group_norm)
    return gradients

  def _scaled(
    self, gradients: Sequence[Gradient], squares: tf.Tensor, limit: float
  ) -> list[Gradient]:
    # Where the norm is below the limit, the factor is exactly 1.
    factors = limit / tf.maximum(tf.sqrt(squares), limit)
    return [
      _mapped(gradient, lambda values, factor=factor: values * tf.cast(factor, values.dtype))
      for gradient, factor in zip(gradients, self._norms.by_variable(factors))
    ]


def _mapped(gradient: Gradient, change) -> Gradient:  # noqa: ANN001 - tensor to tensor.
  if isinstance(gradient, tf.IndexedSlices):
    return tf.IndexedSlices(change(gradient.values), gradient.indices, gradient.dense_shape)
  return None if gradient is None else change(gradient)

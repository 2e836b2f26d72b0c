"""The part of the loss that holds weights small."""

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import ModelConfig
from heavy_ranker.layers.tower import tower_name

_KERNEL = "kernel"


class WeightPenalty:
  """l2 * the sum of squares of matrices, over all parts of a model that have an `l2`.

  The backbone's and a tower's `l2` is for the kernels of its dense layers, not for biases, norms
  and affine maps; those of tables and of the wide part are in the layers that own them.

  Args:
    config: the section `model`.
    ranker: the model from `build_model`.
  """

  def __init__(self, config: ModelConfig, ranker: keras.Model):
    parts = {tower_name(task): tower.l2 for task, tower in config.tasks.items()}
    if config.backbone is not None:
      parts["backbone"] = config.backbone.l2
    self._ranker = ranker
    self._kernels = [
      (l2, variable)
      for name, l2 in parts.items()
      if l2
      for variable in ranker.get_layer(name).trainable_variables
      if variable.name.split("/")[-1].split(":")[0] == _KERNEL
    ]

  def __call__(self) -> tf.Tensor:
    """Returns the penalty, a scalar; 0 without any `l2`."""
    squares = [l2 * tf.reduce_sum(tf.square(kernel)) for l2, kernel in self._kernels]
    return tf.add_n([*squares, *self._ranker.losses, tf.constant(0.0)])

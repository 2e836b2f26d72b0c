"""A task's own part of the network: from shared representation to one logit."""

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import TaskModelConfig
from heavy_ranker.layers.affine_map import AffineMap
from heavy_ranker.layers.architecture import make_architecture
from heavy_ranker.layers.task_names import name_of_task


class Tower(keras.layers.Layer):
  """An architecture that ends in one logit, with an optional affine map on it.

  Args:
    config: the task's architecture and affine map.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name, see `tower_name`.

  Attributes:
    body: the architecture's layer.
    affine_map: the map on the logit, or None.
  """

  def __init__(self, config: TaskModelConfig, seed: int, synchronize_batch_norm: bool, name: str):
    super().__init__(name=name)
    self.body = make_architecture(config, seed, synchronize_batch_norm, "body")
    affine = config.affine_map
    self.affine_map = affine and AffineMap(affine.scale, affine.bias, name="affine_map")

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to logits [batch, 1].

    Raises:
      ValueError: the architecture does not end in one unit.
    """
    logit = self.body(inputs, training=training)
    if logit.shape[-1] != 1:
      raise ValueError(f"{self.name}: the tower ends in {logit.shape[-1]} units, allowed: 1")
    return logit if self.affine_map is None else self.affine_map(logit)


def tower_name(task: str) -> str:
  """Returns the name of a task's tower, "tower.TASK", with what a layer name cannot hold as _."""
  return name_of_task("tower", task)

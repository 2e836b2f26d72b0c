"""Experts: networks of one shape that read the same input."""

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import ExpertConfig
from heavy_ranker.layers.architecture import make_architecture
from heavy_ranker.seeds import derive_seed


class Experts(keras.layers.Layer):
  """Copies of one architecture, each with initial weights of its own, on one input.

  Args:
    config: the architecture of each.
    num_experts: how many.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.

  Attributes:
    experts: the networks in order.
  """

  def __init__(
    self,
    config: ExpertConfig,
    num_experts: int,
    seed: int,
    synchronize_batch_norm: bool,
    name: str,
  ):
    super().__init__(name=name)
    names = [f"expert_{index}" for index in range(num_experts)]
    self.experts = [
      make_architecture(config, derive_seed(seed, expert), synchronize_batch_norm, expert)
      for expert in names
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to [batch, experts, the experts' width]."""
    return tf.stack([expert(inputs, training=training) for expert in self.experts], axis=1)

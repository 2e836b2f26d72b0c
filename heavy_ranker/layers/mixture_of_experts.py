"""Multi-gate mixture of experts (Ma et al., KDD 2018, "Modeling Task Relationships ...")."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import MmoeConfig
from heavy_ranker.layers.experts import Experts
from heavy_ranker.layers.gates import Gates
from heavy_ranker.layers.task_names import name_of_task
from heavy_ranker.seeds import derive_seed


class MixtureOfExperts(keras.layers.Layer):
  """Experts that all tasks share, mixed for each task by a gate of its own.

  Task t gets f_t(x) = sum_i g_t(x)_i f_i(x), with the gate g_t(x) a softmax over the experts f_i.

  Args:
    config: the experts and the gates' hidden layers.
    tasks: the tasks in the model's order.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics of the experts over all replicas.
    name: the layer's name.

  Attributes:
    experts: the Experts.
    gates: the Gates, one a task.
  """

  def __init__(
    self,
    config: MmoeConfig,
    tasks: Sequence[str],
    seed: int,
    synchronize_batch_norm: bool = True,
    name: str = "mixture_of_experts",
  ):
    super().__init__(name=name)
    self.experts = Experts(
      config.expert,
      config.num_experts,
      derive_seed(seed, "experts"),
      synchronize_batch_norm,
      name="experts",
    )
    self.gates = Gates(
      [name_of_task("gate", task) for task in tasks],
      config.gate_layer_sizes,
      config.num_experts,
      derive_seed(seed, "gates"),
      name="gates",
    )

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to the tasks' mixtures [batch, tasks, the experts' width]."""
    experts = self.experts(inputs, training=training)
    return tf.einsum("bte,bew->btw", self.gates(inputs), tf.cast(experts, tf.float32))

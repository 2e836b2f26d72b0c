"""Progressive layered extraction (Tang et al., RecSys 2020)."""

from collections.abc import Sequence
from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import PleConfig
from heavy_ranker.layers.experts import Experts
from heavy_ranker.layers.gates import Gates
from heavy_ranker.layers.task_names import name_of_task
from heavy_ranker.seeds import derive_seed


class ExtractionLevel(keras.layers.Layer):
  """One level: each task mixes its own and the shared experts, the shared part mixes all of them.

  Args:
    config: numbers of experts, their architecture, the gates' hidden layers.
    tasks: the tasks in the model's order.
    is_last: no level follows that would read the shared mixture, so there is none.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics of the experts over all replicas.
    name: the layer's name.

  Attributes:
    task_experts: the Experts of each task.
    shared_experts: the Experts of all tasks.
    task_gates: the Gates, one a task, over its own experts, then the shared ones.
    shared_gate: the Gates with the one gate over all experts, task by task, then the shared ones;
      None in the last level.
  """

  def __init__(
    self,
    config: PleConfig,
    tasks: Sequence[str],
    is_last: bool,
    seed: int,
    synchronize_batch_norm: bool,
    name: str,
  ):
    super().__init__(name=name)
    self._own, self._shared = config.num_task_experts, config.num_shared_experts

    def experts(number: int, name: str) -> Experts:
      seed_inside = derive_seed(seed, name)
      return Experts(config.expert, number, seed_inside, synchronize_batch_norm, name=name)

    def gates(gates: list[str], number: int, name: str) -> Gates:
      return Gates(gates, config.gate_layer_sizes, number, derive_seed(seed, name), name=name)

    self.task_experts = [experts(self._own, name_of_task("experts", task)) for task in tasks]
    self.shared_experts = experts(self._shared, "shared_experts")
    task_gates = [name_of_task("gate", task) for task in tasks]
    self.task_gates = gates(task_gates, self._own + self._shared, "task_gates")
    everything = len(tasks) * self._own + self._shared
    self.shared_gate = None if is_last else gates(["gate"], everything, "shared_gate")

  def call(
    self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False
  ) -> tuple[tf.Tensor, Optional[tf.Tensor]]:
    """Maps what the tasks and the shared part read to their mixtures.

    Args:
      inputs: the tasks' [batch, tasks, width], or [batch, width] which all of them read, and the
        shared part's [batch, width].
      training: whether this is a training step.

    Returns:
      The tasks' mixtures [batch, tasks, w] and the shared one [batch, w], None in the last level;
      w is the experts' width.
    """
    task_inputs, shared_inputs = inputs
    one_each = task_inputs.shape.rank == 3
    reads = tf.unstack(task_inputs, axis=1) if one_each else [task_inputs] * len(self.task_experts)
    own = [
      tf.cast(experts(x, training=training), tf.float32)
      for experts, x in zip(self.task_experts, reads)
    ]
    shared = tf.cast(self.shared_experts(shared_inputs, training=training), tf.float32)
    own_weights, shared_weights = tf.split(
      self.task_gates(task_inputs), [self._own, self._shared], axis=2
    )
    mixtures = tf.einsum("bte,btew->btw", own_weights, tf.stack(own, axis=1))
    mixtures += tf.einsum("bte,bew->btw", shared_weights, shared)
    if self.shared_gate is None:
      return mixtures, None
    everything = tf.concat([*own, shared], axis=1)
    shared_mixture = tf.einsum("bge,bew->bgw", self.shared_gate(shared_inputs), everything)
    return mixtures, tf.squeeze(shared_mixture, axis=1)


class LayeredExtraction(keras.layers.Layer):
  """Levels of shared experts and of each task's own, which part step by step.

  All of level 0 reads the input; what is of a task in level k reads the task's mixture of level
  k - 1, what is shared reads the shared mixture.

  Args:
    config: levels, experts and the gates' hidden layers.
    tasks: the tasks in the model's order.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics of the experts over all replicas.
    name: the layer's name.

  Attributes:
    levels: the ExtractionLevels in order.
  """

  def __init__(
    self,
    config: PleConfig,
    tasks: Sequence[str],
    seed: int,
    synchronize_batch_norm: bool = True,
    name: str = "layered_extraction",
  ):
    super().__init__(name=name)
    last = config.num_levels - 1
    self.levels = [
      ExtractionLevel(
        config,
        tasks,
        index == last,
        derive_seed(seed, f"level_{index}"),
        synchronize_batch_norm,
        name=f"level_{index}",
      )
      for index in range(config.num_levels)
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to the tasks' mixtures [batch, tasks, the experts' width]."""
    mixtures, shared = inputs, inputs
    for level in self.levels:
      mixtures, shared = level((mixtures, shared), training=training)
    return mixtures

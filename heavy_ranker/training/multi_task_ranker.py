"""The model as it is trained: the ranker, its ten losses and one update."""

from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.training.loss_scale import Gradient, LossScale
from heavy_ranker.training.losses import WeightedBinaryCrossentropy
from heavy_ranker.training.task_loss_reduction import TaskLossReduction
from heavy_ranker.training.weight_penalty import WeightPenalty

# (features, labels by task, weights by task), as the input pipeline yields them.
Batch = tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]
# The same with `file` and `position` of each record.
PlacedBatch = tuple[
  dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]
]


class MultiTaskRanker(tfrs.Model):
  """A ranker with a tfrs ranking task for each engagement.

  A task's loss is the mean over the global batch of weight * cross entropy; the total is what
  `reduction` makes of them. Each replica computes its examples' part, and the parts add up; so do
  those of micro-batches, see `heavy_ranker.training.gradient_accumulation`.

  Args:
    config: tasks with their `pos_weight` and `loss_weight`, and `task_loss_reduction`.
    ranker: the model from `build_model`.
    global_batch_size: examples of one update, over all replicas and micro-batches together.

  Attributes:
    reduction: from the tasks' losses to the total; may hold variables that are trained along.
    loss_scale: what `training.mixed_precision: float16` needs, else None.
  """

  def __init__(self, config: HeavyRankerConfig, ranker: keras.Model, global_batch_size: int):
    super().__init__(name="multi_task_ranker")
    self.ranker = ranker
    self._global_batch_size = global_batch_size
    self._tasks = {
      task: tfrs.tasks.Ranking(WeightedBinaryCrossentropy(section.pos_weight))
      for task, section in config.model.tasks.items()
    }
    self.reduction = TaskLossReduction(config.model)
    self.loss_scale = LossScale() if config.training.compute_dtype == "float16" else None
    self._penalty = WeightPenalty(config.model, ranker)

  def call(self, features: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
    """Returns the ranker's outputs, see `build_model`."""
    return self.ranker(features, training=training)

  def task_losses(self, inputs: Batch, training: bool = False) -> tf.Tensor:
    """Returns this replica's part of each task's loss, [tasks], in the model's order.

    Labels and weights are paired with the heads by name.
    """
    features, labels, weights = inputs
    logits = tf.unstack(self(features, training=training)["logits"], axis=1)
    losses = [
      task(labels[name], head, weights[name], compute_metrics=False)
      for (name, task), head in zip(self._tasks.items(), logits)
    ]
    return tf.stack(losses) / self._global_batch_size

  def compute_loss(self, inputs: Batch, training: bool = False) -> tf.Tensor:
    """Returns this replica's part of the total loss, a scalar."""
    return self._total(self.task_losses(inputs, training), inputs)

  def losses_and_gradients(self, inputs: Batch) -> tuple[dict[str, tf.Tensor], list[Gradient]]:
    """Returns this replica's part of `loss` and `task_losses`, and of each trainable's gradient."""
    with tf.GradientTape() as tape:
      task_losses = self.task_losses(inputs, training=True)
      loss = self._total(task_losses, inputs)
      target = loss if self.loss_scale is None else self.loss_scale.scaled(loss)
    gradients = tape.gradient(target, self.trained)
    if self.loss_scale is not None:
      gradients = self.loss_scale.unscaled(gradients)
    return {"loss": loss, "task_losses": task_losses}, gradients

  def apply_gradients(self, gradients: list[Gradient]) -> None:
    """Makes one update with gradients that are the sums over all replicas, on each of them."""
    self.optimizer.apply_gradients(
      zip(gradients, self.trained), experimental_aggregate_gradients=False
    )

  def train_step(self, inputs: Batch) -> dict[str, Any]:
    """Makes one update, as Keras's `fit` wants it: whatever the gradients are.

    The trainer goes by `heavy_ranker.training.guarded_updates`, the one place that leaves updates
    out and adapts the scale of the loss.

    Returns:
      This replica's part of `loss` and of `task_losses`.

    Raises:
      NotImplementedError: in float16, which cannot do without that.
    """
    if self.loss_scale is not None:
      raise NotImplementedError("float16 overflows now and then: use GuardedUpdates")
    losses, gradients = self.losses_and_gradients(inputs)
    self.optimizer.apply_gradients(zip(gradients, self.trained))
    return losses

  @property
  def trained(self) -> list[tf.Variable]:
    """What an update changes: the ranker's trainable variables and the reduction's."""
    return [*self.ranker.trainable_variables, *self.reduction.trainable_variables]

  def _total(self, task_losses: tf.Tensor, inputs: Batch) -> tf.Tensor:
    _, labels, _ = inputs
    examples = tf.shape(next(iter(labels.values())))[0]
    share = tf.cast(examples, tf.float32) / self._global_batch_size
    # A part of the global batch has its share of what all weights cost.
    return self.reduction(task_losses, share) + share * self._penalty()

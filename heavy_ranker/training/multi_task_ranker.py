"""The model as it is trained: the ranker, its ten losses and one update."""

from typing import Any, Union

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.training.losses import WeightedBinaryCrossentropy

# (features, labels by task, weights by task), as the input pipeline yields them.
Batch = tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]
# None for a variable the loss does not depend on.
Gradient = Union[tf.Tensor, tf.IndexedSlices, None]


class MultiTaskRanker(tfrs.Model):
  """A ranker with a tfrs ranking task for each engagement.

  A task's loss is the mean over the global batch of weight * cross entropy; the total is the
  mean over the tasks. Each replica computes its examples' part, and the parts add up; so do those
  of micro-batches, see `heavy_ranker.training.gradient_accumulation`.

  Args:
    config: tasks and their `pos_weight`.
    ranker: the model from `build_model`.
    global_batch_size: examples of one update, over all replicas and micro-batches together.
  """

  def __init__(self, config: HeavyRankerConfig, ranker: keras.Model, global_batch_size: int):
    super().__init__(name="multi_task_ranker")
    self.ranker = ranker
    self._global_batch_size = global_batch_size
    self._tasks = {
      task: tfrs.tasks.Ranking(WeightedBinaryCrossentropy(section.pos_weight))
      for task, section in config.model.tasks.items()
    }

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
    return tf.reduce_mean(self.task_losses(inputs, training))

  def losses_and_gradients(self, inputs: Batch) -> tuple[dict[str, tf.Tensor], list[Gradient]]:
    """Returns this replica's part of `loss` and `task_losses`, and of each trainable's gradient."""
    with tf.GradientTape() as tape:
      task_losses = self.task_losses(inputs, training=True)
      loss = tf.reduce_mean(task_losses)
    gradients = tape.gradient(loss, self.ranker.trainable_variables)
    return {"loss": loss, "task_losses": task_losses}, gradients

  def apply_gradients(self, gradients: list[Gradient]) -> None:
    """Makes one update with the replicas' parts of the gradients added up."""
    self.optimizer.apply_gradients(zip(gradients, self.ranker.trainable_variables))

  def train_step(self, inputs: Batch) -> dict[str, Any]:
    """Makes one update and returns this replica's part of `loss` and of `task_losses`."""
    losses, gradients = self.losses_and_gradients(inputs)
    self.apply_gradients(gradients)
    return losses

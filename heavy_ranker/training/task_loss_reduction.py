"""From the tasks' losses to the one that is minimized."""

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import ModelConfig
from heavy_ranker.layers.task_names import name_of_task


class TaskLossReduction(keras.layers.Layer):
  """The mean or the sum of w_t L_t over the tasks t, or a sum with learned scales.

  w_t is the task's `loss_weight`. `uncertainty` (Kendall, Gal and Cipolla, CVPR 2018) minimizes
  the sum of w_t (exp(-s_t) L_t + s_t / 2), where s_t, the log variance of the task's noise, is
  trained along and starts at 0: a task whose loss stays high counts less.

  Args:
    config: the tasks with their weights, and `task_loss_reduction`.
    name: the layer's name.

  Attributes:
    log_variances: s_t by task, float32 scalars; empty unless they are learned.
  """

  def __init__(self, config: ModelConfig, name: str = "task_loss_reduction"):
    super().__init__(name=name)
    self._weights = [tower.loss_weight for tower in config.tasks.values()]
    self._is_mean = config.task_loss_reduction == "mean"
    self.log_variances: dict[str, tf.Variable] = {}
    if config.task_loss_reduction == "uncertainty":
      self.log_variances = {task: self._log_variance(task) for task in config.tasks}

  def _log_variance(self, task: str) -> tf.Variable:
    name = name_of_task("log_variance", task)
    return self.add_weight(name=name, shape=[], dtype=tf.float32, initializer="zeros")

  def call(self, task_losses: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns a part of the total loss, a scalar; the parts of a global batch add up to it.

    Args:
      task_losses: the part's contribution to each task's loss, [tasks], in the model's order.
      share: the part's examples over those of the global batch, what it has of the term s_t / 2.
    """
    if self.log_variances:
      log_variances = tf.stack(list(self.log_variances.values()))
      task_losses = tf.exp(-log_variances) * task_losses + share * log_variances / 2.0
    weighted = task_losses * tf.constant(self._weights, task_losses.dtype)
    return tf.reduce_mean(weighted) if self._is_mean else tf.reduce_sum(weighted)

"""Labels of a batch: checked, paired with their tasks by name, weighted."""

from collections.abc import Mapping

import tensorflow as tf

from tfrecords.config.data import DataConfig, TaskSampling
from tfrecords.parsing import MISSING_LABEL
from tfrecords.sampling_weights import sampling_weight


def split_labels(
  batch: Mapping[str, tf.Tensor],
  config: DataConfig,
  tasks: tuple[str, ...],
  names: tf.Tensor,
  weighted: bool = True,
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]:
  """Separates a parsed batch into features, labels and weights.

  Args:
    batch: tensors by name, the tasks' labels int64 [batch, 1] among them.
    config: the data section: sampling rates and what a missing label means.
    tasks: which labels to take.
    names: the records' names [batch], for the message of a failed check.
    weighted: weights make good for sampling; else they are all 1.

  Returns:
    features: what is no label; labels and weights: float32 [batch] by task.

  Raises:
    tf.errors.InvalidArgumentError: when run, for a label that is missing (unless
      `missing_labels` is `zero`) or neither 0 nor 1.
  """
  features = {name: tensor for name, tensor in batch.items() if name not in config.tasks}
  if not tasks:
    return features, {}, {}
  stacked = tf.concat([batch[task] for task in tasks], axis=1)
  if config.missing_labels == "zero":
    stacked = tf.where(stacked == MISSING_LABEL, tf.zeros_like(stacked), stacked)
  with tf.control_dependencies([_check(stacked, tasks, names)]):
    columns = tf.unstack(tf.cast(stacked, tf.float32), axis=1)
  labels = dict(zip(tasks, columns))
  sampling = config.tasks if weighted else dict.fromkeys(tasks, TaskSampling())
  weights = {task: sampling_weight(labels[task], sampling[task]) for task in tasks}
  return features, labels, weights


def _check(stacked: tf.Tensor, tasks: tuple[str, ...], names: tf.Tensor) -> tf.Operation:
  wrong = tf.logical_and(stacked != 0, stacked != 1)
  first = tf.where(wrong)[:1]
  return tf.debugging.Assert(
    tf.logical_not(tf.reduce_any(wrong)),
    [
      "label missing or neither 0 nor 1",
      tf.gather(names, first[:, 0]),
      tf.gather(tf.constant(tasks), first[:, 1]),
    ],
  )

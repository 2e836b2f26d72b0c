"""Labels of a batch: checked, paired with their tasks by name, weighted."""

from collections.abc import Iterable, Mapping

import tensorflow as tf

from tfrecords.config.data import DataConfig, TaskSampling
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.parsing import MISSING_LABEL
from tfrecords.sampling_weights import sampling_weight


def require_tasks(names: Iterable[str], tasks: Iterable[str], where: str) -> None:
  """Checks that labels a section names are tasks.

  Args:
    names: what the section names.
    tasks: the data section's tasks.
    where: the section's full path, for the message.

  Raises:
    ConfigError: one is no task.
  """
  tasks = list(tasks)
  for name in names:
    if name not in tasks:
      raise ConfigError(
        f"{where}: found {name!r}, which is no task{did_you_mean(name, tasks)}; allowed: "
        f"{', '.join(tasks)}"
      )


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


def are_usable(stacked: tf.Tensor, may_be_missing: bool) -> tf.Tensor:
  """Tells which labels can be used.

  Args:
    stacked: int64, MISSING_LABEL where a record has none.
    may_be_missing: whether those count as 0.

  Returns:
    bool of the same shape.
  """
  valid = tf.logical_or(stacked == 0, stacked == 1)
  return tf.logical_or(valid, stacked == MISSING_LABEL) if may_be_missing else valid


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

"""Probabilities that lie in the records: a teacher's, or those a model in production predicted.

They are float_list features of length 1, one a task, that no schema has to list. Unlike the model's
features, each record has to hold them: a probability that is missing has no neutral value.
"""

from collections.abc import Iterable, Mapping

import tensorflow as tf

from tfrecords.schema import Feature

# What an absent one reads as until it is checked.
MISSING_PROBABILITY = float("nan")


def probability_features(prefix: str, tasks: Iterable[str]) -> dict[str, Feature]:
  """Returns the features PREFIX + TASK by name; they have the same name inside the model."""
  names = [f"{prefix}{task}" for task in tasks]
  return {name: Feature(name, name, "float_list", 1) for name in names}


def are_probabilities(values: tf.Tensor) -> tf.Tensor:
  """Tells which values lie in [0, 1]; MISSING_PROBABILITY does not. Of any shape."""
  return tf.logical_and(values >= 0, values <= 1)


def checked(batch: Mapping[str, tf.Tensor], names: tf.Tensor) -> dict[str, tf.Tensor]:
  """Returns recorded probabilities as they are.

  Args:
    batch: float32 [batch, 1] by name.
    names: the records' names [batch], for the message of a failed check.

  Raises:
    tf.errors.InvalidArgumentError: when run, for one that is missing or outside of [0, 1].
  """
  if not batch:
    return {}
  stacked = tf.concat(list(batch.values()), axis=1)
  valid = are_probabilities(stacked)
  first = tf.where(tf.logical_not(valid))[:1]
  check = tf.debugging.Assert(
    tf.reduce_all(valid),
    [
      "probability missing or not in [0, 1]",
      tf.gather(names, first[:, 0]),
      tf.gather(tf.constant(list(batch)), first[:, 1]),
    ],
  )
  with tf.control_dependencies([check]):
    return {name: tf.identity(tensor) for name, tensor in batch.items()}

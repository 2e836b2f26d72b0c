"""Planted data's teacher, measured as a model is: no model can do better."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.evaluation import metrics
from tfrecords import parsing, schema, shards
from tfrecords.config.data import DataConfig
from tfrecords.planted_records import PROBABILITY_PREFIX, teacher_probabilities_features

_BATCH_SIZE = 10_000


def probabilities_and_labels(
  partition: DataConfig, tasks: Sequence[str], key: str
) -> Optional[dict[str, tuple[np.ndarray, np.ndarray]]]:
  """Reads the teacher's probabilities and the labels, float64 [n] each, by task.

  Args:
    partition: where the planted records lie.
    tasks: names of the labels.
    key: the section's path in the configuration, for the messages.

  Returns:
    None if a record does not carry its probabilities (`--write_probabilities` writes them).

  Raises:
    ConfigError, DataError: the section or its files cannot be used.
  """
  known, probabilities = schema.features_of(partition, key), teacher_probabilities_features(tasks)
  parse = parsing.make_parser({**{task: known[task] for task in tasks}, **probabilities})
  batches = []
  for shard in shards.shards_of(partition, key):
    for records in tf.data.TFRecordDataset(shard.path, shard.compression).batch(_BATCH_SIZE):
      batches.append(parse(records, records))
      # The parser reads an absent feature as 0, and no probability is.
      if any(tf.reduce_any(batches[-1][name] == 0) for name in probabilities):
        return None
  columns = {
    name: np.concatenate([batch[name].numpy()[:, 0] for batch in batches]).astype(np.float64)
    for name in (*tasks, *probabilities)
  }
  return {task: (columns[f"{PROBABILITY_PREFIX}{task}"], columns[task]) for task in tasks}


def evaluate_teacher(
  partition: DataConfig, tasks: Sequence[str], key: str
) -> Optional[dict[str, dict[str, float]]]:
  """Returns task -> metric -> value, or None; see `probabilities_and_labels`."""
  columns = probabilities_and_labels(partition, tasks, key)
  if columns is None:
    return None
  return {
    task: metrics.evaluate_task(probabilities, labels, np.ones_like(labels))
    for task, (probabilities, labels) in columns.items()
  }

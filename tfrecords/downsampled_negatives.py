"""`downsample_negatives`: training reads more records and keeps few of the negatives."""

from collections.abc import Iterable, Mapping
from typing import Optional

import tensorflow as tf

from tfrecords.config.data import DownsampleNegatives
from tfrecords.labels import require_tasks


class NegativeDownsampler:
  """Chooses the rows of a large batch to train on: positives first, then negatives.

  Args:
    section: the section `downsample_negatives`; None keeps every row as it is.
    key: the section's full path, for the messages.

  Attributes:
    multiplier: how many times as many rows are read as are kept.
    labels: a row is positive if any of these is 1.
  """

  def __init__(self, section: Optional[DownsampleNegatives], key: str):
    self._key = key
    self.multiplier = section.batch_multiplier if section is not None else 1
    self.labels = tuple(dict.fromkeys(section.engagements_list)) if section is not None else ()

  def check(self, tasks: Iterable[str]) -> None:
    """Checks that the engagements are among the data section's tasks.

    Raises:
      ConfigError: one is not.
    """
    require_tasks(self.labels, tasks, f"{self._key}.engagements_list")

  def rows(self, batch: Mapping[str, tf.Tensor], size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Chooses rows.

    Args:
      batch: labels, int64 [n, 1] by name among others; n is at least `size`.
      size: how many rows to keep.

    Returns:
      Which rows to keep, int64 [size]: the positives in their order, then the first negatives;
      and by how much to multiply their weights, float32 [size]: each negative that is kept stands
      for those that are not. With more positives than `size`, the first are kept, unchanged.
    """
    is_positive = tf.reduce_any(tf.concat([batch[name] == 1 for name in self.labels], 1), axis=1)
    positives = tf.where(is_positive)[:, 0]
    negatives = tf.where(tf.logical_not(is_positive))[:, 0]
    rows = tf.ensure_shape(tf.concat([positives, negatives], axis=0)[:size], [size])
    n_kept = tf.maximum(size - tf.size(positives), 1)
    factor = tf.cast(tf.size(negatives), tf.float32) / tf.cast(n_kept, tf.float32)
    return rows, tf.where(tf.gather(is_positive, rows), 1.0, factor)

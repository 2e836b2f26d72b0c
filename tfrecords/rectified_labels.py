"""`rectify_labels`: only an engagement soon after serving counts as a positive."""

from collections.abc import Iterable, Mapping
from typing import Optional

import tensorflow as tf

from tfrecords.config.data import RectifyLabels
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.schema import Feature

_MILLISECONDS_PER_HOUR = 3600 * 1000


class LabelRectifier:
  """Turns positive labels into negatives where impression or engagement came too late.

  Args:
    section: the section `rectify_labels`; None keeps every label.
    key: the section's full path, for the messages.
  """

  def __init__(self, section: Optional[RectifyLabels], key: str):
    self._section, self._key = section, key

  def timestamps(self, labels: Iterable[str]) -> list[str]:
    """Returns the features, by name inside the model, that have to be parsed for these labels."""
    if self._section is None:
      return []
    engaged = self._section.label_to_engaged_timestamp_field
    fields = [engaged[label] for label in labels if label in engaged]
    if not fields:
      return []
    section = self._section
    return list(
      dict.fromkeys([section.served_timestamp_field, section.impressed_timestamp_field, *fields])
    )

  @property
  def window_in_hours(self) -> Optional[float]:
    """How soon impression and engagement have to come; None when labels are kept as they are."""
    return None if self._section is None else self._section.label_rectification_window_in_hours

  def check(self, features: Mapping[str, Feature], tasks: Iterable[str]) -> None:
    """Checks the section against what records hold.

    Args:
      features: what the data section reads, by name inside the model.
      tasks: its tasks.

    Raises:
      ConfigError: a label is no task, or a timestamp is missing or no single integer.
    """
    if self._section is None:
      return
    tasks = list(tasks)
    for label in self._section.label_to_engaged_timestamp_field:
      if label not in tasks:
        raise ConfigError(
          f"{self._key}.label_to_engaged_timestamp_field.{label}: found no such task"
          f"{did_you_mean(label, tasks)}; allowed: {', '.join(tasks)}"
        )
    for name in self.timestamps(tasks):
      if name not in features:
        raise ConfigError(
          f"{self._key}: the timestamp {name!r} is needed and missing{did_you_mean(name, features)}"
          f"; found: {', '.join(features)}. Name it under seg_dense_schema.features or "
          "renamed_features"
        )
      feature = features[name]
      if feature.dtype != "int64_list" or feature.length != 1:
        raise ConfigError(
          f"{self._key}: the timestamp {name!r} is {feature.dtype} of length {feature.length} in "
          "the schema, allowed: int64_list of length 1"
        )

  def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Rectifies the labels of a batch.

    Args:
      features: labels and timestamps (milliseconds), int64 [batch, 1], by name among others.

    Returns:
      The same; a label of 1 is 0 where impression or engagement came no less than the window
      after serving. What is not 1, such as a missing label, stays. Labels that are not there are
      no problem.
    """
    result = dict(features)
    if self._section is None:
      return result
    section = self._section
    for label, field in section.label_to_engaged_timestamp_field.items():
      if label not in features:
        continue
      served = features[section.served_timestamp_field]
      is_soon = tf.logical_and(
        self._is_soon(features[section.impressed_timestamp_field] - served),
        self._is_soon(features[field] - served),
      )
      late = tf.logical_and(features[label] == 1, tf.logical_not(is_soon))
      result[label] = tf.where(late, tf.zeros_like(features[label]), features[label])
    return result

  def _is_soon(self, delay: tf.Tensor) -> tf.Tensor:
    window = round(self._section.label_rectification_window_in_hours * _MILLISECONDS_PER_HOUR)
    return delay < tf.constant(window, delay.dtype)

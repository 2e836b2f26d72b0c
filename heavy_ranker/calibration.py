"""Probabilities of sampled data -> probabilities of all data."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfrecords.config.data import DataConfig


class SamplingCalibration(keras.layers.Layer):
  """p -> p r / (1 - p + r p) with r = neg_downsampling_rate / pos_downsampling_rate, a task each.

  Computed as sigmoid(logit + log r), which is the same and loses no digits. With r = 1 the
  probabilities are the raw ones.

  Args:
    ratios: r by position of the task, each above 0.
    name: the layer's name.
  """

  def __init__(self, ratios: Sequence[float], name: Optional[str] = None):
    super().__init__(name=name)
    self._offsets = np.log(np.asarray(ratios, np.float64)).astype(np.float32)

  def call(self, logits: tf.Tensor) -> tf.Tensor:
    """Maps logits [batch, tasks] to calibrated probabilities [batch, tasks]."""
    return tf.sigmoid(logits + self._offsets)


def sampling_ratios(train_data: DataConfig, tasks: Sequence[str]) -> list[float]:
  """Returns r for each task: 1 unless `sampling_correction` is `calibration`.

  Sampling is made good exactly once: a loss weighted by the rates already predicts the
  probabilities of all data.
  """
  if train_data.sampling_correction != "calibration":
    return [1.0] * len(tasks)
  rates = [train_data.tasks[task] for task in tasks]
  return [rate.neg_downsampling_rate / rate.pos_downsampling_rate for rate in rates]

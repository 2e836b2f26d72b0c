"""Weights that make good for sampling: each kept example stands for the ones left out."""

import tensorflow as tf

from tfrecords.config.data import TaskSampling


def sampling_weight(label: tf.Tensor, sampling: TaskSampling) -> tf.Tensor:
  """Returns 1 / rate of the label's class.

  Args:
    label: 0 or 1, float32 of any shape.
    sampling: the task's rates.

  Returns:
    label / pos_downsampling_rate + (1 - label) / neg_downsampling_rate, float32, label's shape.
  """
  positive, negative = sampling.pos_downsampling_rate, sampling.neg_downsampling_rate
  return label / positive + (1.0 - label) / negative

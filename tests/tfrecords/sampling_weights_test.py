"""Tests of `tfrecords.sampling_weights`."""

import numpy as np
import tensorflow as tf

from tfrecords.config.data import TaskSampling
from tfrecords.sampling_weights import sampling_weight


def test_a_weight_is_one_over_the_rate_of_the_labels_class():
  sampling = TaskSampling(pos_downsampling_rate=0.5, neg_downsampling_rate=0.125)
  weights = sampling_weight(tf.constant([0.0, 1.0, 1.0, 0.0]), sampling)
  assert weights.numpy().tolist() == [8.0, 2.0, 2.0, 8.0]


def test_without_sampling_every_weight_is_exactly_one():
  weights = sampling_weight(tf.constant([0.0, 1.0]), TaskSampling())
  assert weights.dtype == tf.float32
  assert weights.numpy().tolist() == [1.0, 1.0]


def test_any_shape():
  labels = tf.eye(3)
  sampling = TaskSampling(neg_downsampling_rate=0.25)
  np.testing.assert_array_equal(sampling_weight(labels, sampling), 4 - 3 * np.eye(3))

"""Tests of `heavy_ranker.training.distribution`; replicas_test.py trains on several."""

import pytest
import tensorflow as tf

from heavy_ranker.training.distribution import examples_per_replica, make_strategy
from tfrecords.errors import ConfigError


def test_every_device_of_the_best_kind_is_a_replica():
  devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
  strategy = make_strategy()
  assert isinstance(strategy, tf.distribute.MirroredStrategy)
  assert strategy.num_replicas_in_sync == len(devices)


@pytest.mark.parametrize("replicas, expected", [(1, 12), (2, 6), (3, 4), (12, 1)])
def test_a_batch_is_divided_evenly(replicas, expected):
  assert examples_per_replica(12, replicas, "key") == expected


@pytest.mark.parametrize("batch, replicas", [(12, 5), (1, 2)])
def test_a_batch_that_cannot_be_divided_is_refused(batch, replicas):
  key = "train_data.global_batch_size"
  message = rf"^{key}: found {batch}, allowed: a multiple of {replicas}, the number of replicas"
  with pytest.raises(ConfigError, match=message):
    examples_per_replica(batch, replicas, key)

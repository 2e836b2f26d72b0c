"""Tests of `tfrecords.labels`."""

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords.labels import split_labels
from tfrecords.parsing import MISSING_LABEL

NAMES = tf.constant(["first", "second"])


@pytest.fixture(name="make_config")
def make_config_fixture(tmp_path):
  return lambda **changes: record_files.data_config(tmp_path, **changes)


def batch(is_liked, is_replied):
  return {
    "continuous": tf.ones([2, 5]),
    "is_liked": tf.constant(is_liked, tf.int64)[:, tf.newaxis],
    "is_replied": tf.constant(is_replied, tf.int64)[:, tf.newaxis],
  }


def values(tensors):
  return {name: tensor.numpy().tolist() for name, tensor in tensors.items()}


def test_labels_and_weights_go_by_name_whatever_the_order(make_config):
  tasks = ("is_replied", "is_liked")
  features, labels, weights = split_labels(batch([0, 1], [1, 0]), make_config(), tasks, NAMES)
  assert set(features) == {"continuous"}
  assert values(labels) == {"is_liked": [0, 1], "is_replied": [1, 0]}
  assert values(weights) == {"is_liked": [4, 2], "is_replied": [1, 8]}
  assert {tensor.dtype for tensor in (*labels.values(), *weights.values())} == {tf.float32}


def test_only_the_tasks_asked_for(make_config):
  tasks = ("is_replied",)
  features, labels, weights = split_labels(batch([5, 5], [1, 0]), make_config(), tasks, NAMES)
  assert set(features) == {"continuous"}
  assert set(labels) == set(weights) == {"is_replied"}


def test_no_tasks(make_config):
  features, labels, weights = split_labels({"binary": tf.ones([2])}, make_config(), (), NAMES)
  assert (set(features), labels, weights) == ({"binary"}, {}, {})


def test_unweighted(make_config):
  tasks = ("is_liked", "is_replied")
  _, _, weights = split_labels(batch([0, 1], [1, 0]), make_config(), tasks, NAMES, weighted=False)
  assert values(weights) == {"is_liked": [1, 1], "is_replied": [1, 1]}


@pytest.mark.parametrize("value", [2, -1, 2**40, MISSING_LABEL])
def test_a_label_that_is_neither_0_nor_1_is_refused(make_config, value):
  with pytest.raises(tf.errors.InvalidArgumentError) as caught:
    split_labels(batch([0, 1], [1, value]), make_config(), ("is_liked", "is_replied"), NAMES)
  assert "second" in caught.value.message
  assert "is_replied" in caught.value.message


def test_a_missing_label_may_count_as_negative(make_config):
  config = make_config(missing_labels="zero")
  _, labels, weights = split_labels(
    batch([MISSING_LABEL, 1], [0, 0]), config, ("is_liked", "is_replied"), NAMES
  )
  assert values(labels)["is_liked"] == [0, 1]
  assert values(weights)["is_liked"] == [4, 2]


def test_other_values_are_refused_even_then(make_config):
  with pytest.raises(tf.errors.InvalidArgumentError):
    split_labels(batch([2, 1], [0, 0]), make_config(missing_labels="zero"), ("is_liked",), NAMES)

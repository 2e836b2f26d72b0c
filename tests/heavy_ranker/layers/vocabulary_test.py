"""Tests of `heavy_ranker.layers.vocabulary`."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.layers.vocabulary import Vocabulary
from tests.heavy_ranker import numpy_twins

_INT64 = np.iinfo(np.int64)
_IDS = st.integers(_INT64.min, _INT64.max) | st.integers(-3, 3)


def make(size, ids):
  layer = Vocabulary(size)
  layer.build([None])
  layer.assign(np.array(ids, np.int64))
  return layer


@settings(max_examples=60, deadline=None)
@given(st.lists(_IDS, max_size=12, unique=True), st.integers(0, 3), st.lists(_IDS, min_size=1))
def test_equals_numpy(ids, free, asked):
  size = max(len(ids) + free, 1)
  layer, asked = make(size, ids), np.array([[*asked, *ids]], np.int64)
  np.testing.assert_array_equal(layer(asked), numpy_twins.listed_rows(asked, ids, size))


def test_is_empty_at_first():
  layer = Vocabulary(3)
  asked = np.array([0, 1, _INT64.max, _INT64.min])
  assert layer(asked).numpy().tolist() == [3] * 4
  assert not layer.trainable_variables


def test_a_function_of_unknown_shape():
  layer = make(4, [5, -5, _INT64.max])
  function = tf.function(layer, input_signature=[tf.TensorSpec([None, 2], tf.int64)])
  found = function(tf.constant([[5, -5], [_INT64.max, 6]]))
  assert found.numpy().tolist() == [[0, 1], [2, 4]]
  assert function(tf.zeros([0, 2], tf.int64)).shape == (0, 2)


@pytest.mark.parametrize(
  ("ids", "same"), [([4, 2, 9], True), ([2, 4, 9], False), ([4, 2], False), ([4, 2, 8], False)]
)
def test_knows_its_mapping(ids, same):
  assert make(5, [4, 2, 9]).holds(np.array(ids)) == same

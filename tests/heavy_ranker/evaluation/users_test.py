"""Tests of `heavy_ranker.evaluation.users`."""

import numpy as np
import tensorflow as tf

from heavy_ranker.evaluation.users import user_ids


def test_numbers_stand_for_themselves_and_strings_for_their_hash():
  numbers = user_ids(tf.constant([[5], [-1], [2**62]], tf.int64))
  assert numbers.dtype == np.int64
  assert numbers.tolist() == [5, -1, 2**62]
  names = user_ids(tf.constant([["a"], ["b"], ["a"]]))
  assert names.dtype == np.int64
  assert names[0] == names[2] != names[1]

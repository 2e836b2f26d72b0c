"""Tests of `tfrecords.record_places`."""

import numpy as np
import tensorflow as tf

from tfrecords.record_places import files_and_positions, first_place


def test_a_place_is_a_file_and_a_position():
  numbers = np.array([0, 0, 1, 7, 100_000, 8_000_000])
  positions = np.array([0, 5, 0, 2**40 - 1, 123_456_789, 2**40 - 1])
  places = first_place(tf.constant(numbers)) + positions
  for found, expected in zip(files_and_positions(places), (numbers, positions)):
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == tf.int64

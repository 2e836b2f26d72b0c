"""Tests of `tfrecords.packed.column_steps`."""

import numpy as np
import pytest

from tfrecords.packed.column_steps import Steps


@pytest.mark.parametrize("divisor", [1, 2, 64, 256, 10, 100, 1000])
def test_the_divisor_is_found(divisor):
  whole = np.float32([[-3, 0, 7, 1001]])
  steps = Steps(whole / np.float32(divisor))
  assert steps.divisor.tolist() == [divisor]
  np.testing.assert_array_equal(steps.whole, whole)


def test_values_behind_a_sample_of_zeros():
  column = np.zeros([1, 500], np.float32)
  column[0, 1::16] = 0.25
  steps = Steps(column)
  assert steps.divisor.tolist() == [4]
  assert not np.isnan(steps.whole).any()


def test_values_that_are_no_steps():
  odd = np.float32([[0, np.nan, np.inf, -0.0, 1e-42, 2**24, 0.1234567, 5]])
  assert np.isnan(Steps(odd).whole).tolist() == [[False, *[True] * 6, False]]


def test_the_window_leaves_few_values_out():
  column = np.float32([[-9000, 40, 41, 42, 43, 55, 7000, np.nan]])
  for size, first, outside in ((16, 40, 3), (4, 40, 4), (1, -9000, 7), (1 << 15, -9000, 1)):
    found = Steps(column).window(size)
    assert [values.tolist() for values in found] == [[first], [outside]]


def test_a_column_without_steps_has_no_window():
  firsts, outside = Steps(np.full([1, 3], np.nan, np.float32)).window(16)
  assert firsts.tolist() == [0] and outside.tolist() == [3]

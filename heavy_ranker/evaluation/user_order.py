"""Orders of the examples within each user, by way of integers that sort as they do."""

import numpy as np


def order_within_users(users: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns the indices that put examples in the order of users, and a user's by rising value.

  Equal ones stay in their order. Much faster than np.lexsort, most of all where users are in order.

  Args:
    users: each example's user, a number below 2^32, [n].
    values: finite; compared as float32, [n].
  """
  keys = users.astype(np.uint64) << np.uint64(32) | ~falling_bits(values)
  return np.argsort(keys, kind="stable")


def falling_bits(values: np.ndarray) -> np.ndarray:
  """Returns uint32 numbers that fall as float32 values rise, equal for -0 and 0."""
  bits = (np.ascontiguousarray(values, np.float32) + np.float32(0)).view(np.uint32)
  sign = np.uint32(1 << 31)
  return np.where(bits & sign, bits, ~bits & ~sign)

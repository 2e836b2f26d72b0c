"""Kendall's rank correlation within each user's list, for many users at once."""

import numpy as np

from heavy_ranker.evaluation.user_order import order_within_users


def user_kendall_taus(
  users: np.ndarray, num_users: int, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
  """Returns tau-b between two orders of each user's examples.

    tau_b = (C - D) / sqrt((P - T_1) (P - T_2))

  with P pairs of the user's examples, T_1 and T_2 of them tied in the one and in the other order,
  C in the same and D in the opposite order; pairs that are tied in either are neither. Kendall: The
  treatment of ties in ranking problems, Biometrika 33, 1945.

  Args:
    users: each example's user, a number below `num_users`, [n].
    num_users: how many users.
    first: what the one order goes by, finite; compared as float32, [n].
    second: what the other goes by, as well, [n].

  Returns:
    float64 [num_users] in [-1, 1]; NaN where an order ties all of the user's examples.
  """
  first, second = (np.asarray(values, np.float32) for values in (first, second))
  order = order_within_users(users, second)
  order = order[order_within_users(users[order], first[order])]
  users, first, second = users[order], first[order], second[order]
  sizes = np.bincount(users, minlength=num_users)
  pairs = sizes * (sizes - 1.0) / 2
  tied_in_first = _tied_pairs(users, num_users, first)
  tied_in_both = _tied_pairs(users, num_users, first, second)
  ranks, tied_in_second = _ranks(users, num_users, second)
  # Examples tied in the first order stand by the second, so that they are no inversion.
  opposite = _inversions(users, sizes, ranks)
  same = pairs - tied_in_first - tied_in_second + tied_in_both - opposite
  with np.errstate(invalid="ignore", divide="ignore"):
    taus = (same - opposite) / np.sqrt((pairs - tied_in_first) * (pairs - tied_in_second))
  return np.clip(taus, -1.0, 1.0)


def _tied_pairs(users: np.ndarray, num_users: int, *keys: np.ndarray) -> np.ndarray:
  """Returns how many pairs of each user's examples are equal in all keys, sorted by them."""
  starts = np.flatnonzero(_is_new(users, *keys))
  sizes = np.diff(np.append(starts, users.size))
  return np.bincount(users[starts], weights=sizes * (sizes - 1.0) / 2, minlength=num_users)


def _is_new(*keys: np.ndarray) -> np.ndarray:
  different = np.ones(keys[0].size, bool)
  different[1:] = False
  for key in keys:
    different[1:] |= key[1:] != key[:-1]
  return different


def _ranks(users: np.ndarray, num_users: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the rank of each value among its user's, from 0, equal ones alike; and tied pairs."""
  order = order_within_users(users, values)
  of_users, ordered = users[order], values[order]
  ties = _tied_pairs(of_users, num_users, ordered)
  dense = np.cumsum(_is_new(of_users, ordered)) - 1
  ranks = np.empty(values.size, np.int64)
  ranks[order] = dense
  firsts = np.full(num_users, 0, np.int64)
  starts = np.flatnonzero(_is_new(of_users))
  firsts[of_users[starts]] = dense[starts]
  return ranks - firsts[users], ties


def _inversions(users: np.ndarray, sizes: np.ndarray, ranks: np.ndarray) -> np.ndarray:
  """Returns how many pairs of each user's examples have falling ranks.

  A pair is counted at the highest bit in which its ranks differ, among the examples whose higher
  bits are equal: those are kept side by side, as a radix sort from the top does.

  Args:
    users: ascending, [n].
    sizes: examples a user, [num_users].
    ranks: int64 [n].
  """
  found = np.zeros(sizes.size)
  if not users.size:
    return found
  for bit in reversed(range(int(ranks.max()).bit_length())):
    starts = np.flatnonzero(_is_new(users, ranks >> (bit + 1)))
    lengths = np.diff(np.append(starts, users.size))
    is_one = (ranks >> bit & 1).astype(bool)
    ones = np.cumsum(is_one) - is_one
    ones_before = ones - np.repeat(ones[starts], lengths)
    found += np.bincount(users, weights=np.where(is_one, 0, ones_before), minlength=sizes.size)
    place = np.arange(users.size) - np.repeat(starts, lengths)
    zeros = lengths - np.add.reduceat(is_one, starts, dtype=np.int64)
    places = np.where(is_one, np.repeat(zeros, lengths) + ones_before, place - ones_before)
    moved = np.empty_like(ranks)
    moved[np.repeat(starts, lengths) + places] = ranks
    ranks = moved
  return found

"""Who stands among the first of each user's list, where equal scores leave it to chance."""

import numpy as np

from heavy_ranker.evaluation.user_order import order_within_users


def top_chances(users: np.ndarray, num_users: int, scores: np.ndarray, cutoff: int) -> np.ndarray:
  """Returns each example's chance to be among the user's first.

  Tied examples stand in any order with the same chance; a user's chances add up to the cutoff, or
  to the user's examples if there are fewer.

  Args:
    users: each example's user, a number below `num_users`, [n].
    num_users: how many users.
    scores: the higher the earlier; compared as float32, [n].
    cutoff: how many are the first.

  Returns:
    float64 [n].
  """
  order = order_within_users(users, -scores)
  of_users, ordered = users[order], scores[order]
  sizes = np.bincount(users, minlength=num_users)
  ranks = np.arange(users.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
  is_new = np.ones(users.size, bool)
  is_new[1:] = (of_users[1:] != of_users[:-1]) | (ordered[1:] != ordered[:-1])
  starts = np.flatnonzero(is_new)
  tied = np.diff(np.append(starts, users.size))
  chances = np.empty(users.size)
  chances[order] = np.repeat(np.clip((cutoff - ranks[starts]) / tied, 0.0, 1.0), tied)
  return chances


def top_overlaps(
  users: np.ndarray, num_users: int, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
  """Returns which share of each user's first examples are the same in two orders.

    sum_i min(a_i, b_i) / sum_i a_i

  over the user's examples with chances a and b: without ties, the size of the intersection over
  that of either; with ties, as much of it as there can be.

  Args:
    users: each example's user, a number below `num_users`, [n].
    num_users: how many users.
    first: the chances by the one order, see `top_chances`, [n].
    second: those by the other, of the same cutoff, [n].

  Returns:
    float64 [num_users] in [0, 1]; NaN for users without examples.
  """
  common = np.bincount(users, weights=np.minimum(first, second), minlength=num_users)
  with np.errstate(invalid="ignore"):
    shares = common / np.bincount(users, weights=first, minlength=num_users)
  return np.minimum(shares, 1.0)

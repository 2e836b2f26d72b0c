"""Metrics of each user's own list: AUROC, NDCG and average precision, a value a user.

Ties have the value that a random order among the tied has on average.
"""

from collections.abc import Sequence

import numpy as np

from heavy_ranker.evaluation import prediction_keys
from heavy_ranker.evaluation.user_order import falling_bits


def user_aurocs(users: np.ndarray, num_users: int, keys: np.ndarray) -> np.ndarray:
  """Returns each user's AUROC in one task; NaN for users without both classes.

  A user's positives share a weight and so do the negatives, so that weights change nothing.

  Args:
    users: each example's user, a number below `num_users`, [n].
    num_users: how many users.
    keys: predictions and labels, see `prediction_keys`, uint32 [n].

  Returns:
    float64 [num_users].
  """
  labels = prediction_keys.labels_of(keys)
  positives = np.bincount(users[labels], minlength=num_users)
  negatives = np.bincount(users, minlength=num_users) - positives
  has_both = (positives > 0) & (negatives > 0)
  chosen = has_both[users]
  ordered = np.sort(
    users[chosen].astype(np.uint64) << np.uint64(prediction_keys.BITS) | keys[chosen]
  )
  result = np.full(num_users, np.nan)
  if not ordered.size:
    return result
  starts = _starts(ordered >> np.uint64(1))
  group_positives = np.add.reduceat(ordered & np.uint64(1), starts).astype(np.float64)
  group_negatives = np.diff(np.append(starts, ordered.size)) - group_positives
  owners = (ordered[starts] >> np.uint64(prediction_keys.BITS)).astype(np.int64)
  below = np.cumsum(group_negatives) - group_negatives
  first = _starts(owners)
  below -= np.repeat(below[first], np.diff(np.append(first, owners.size)))
  wins = np.bincount(
    owners, weights=group_positives * (below + group_negatives / 2), minlength=num_users
  )
  result[has_both] = wins[has_both] / (positives[has_both] * negatives[has_both])
  return result


def user_rankings(
  users: np.ndarray,
  num_users: int,
  scores: np.ndarray,
  engaged: np.ndarray,
  cutoffs: Sequence[int],
) -> dict[str, np.ndarray]:
  """Returns NDCG and average precision of each user's examples in the order of their scores.

  With g_i in {0, 1} whether the user engaged with the i-th example, and E engagements in all:

    NDCG@k = sum_(i<=k) g_i / log2(i + 1)  /  sum_(i<=min(k, E)) 1 / log2(i + 1)
    AP@k   = sum_(i<=k) g_i (g_1 + ... + g_i) / i  /  min(k, E)

  Tied scores count with the mean over their orders: McSherry, Najork: Computing information
  retrieval performance measures efficiently in the presence of tied scores, ECIR 2008.

  Args:
    users: each example's user, a number below `num_users`, [n].
    num_users: how many users.
    scores: float32 [n].
    engaged: bool [n].
    cutoffs: the values of k.

  Returns:
    "ndcg@k" and "map@k" for each k, float64 [num_users]; NaN for users who engaged with nothing.
  """
  engagements = np.bincount(users[engaged], minlength=num_users)
  chosen = engagements[users] > 0
  names = [f"{name}@{cutoff}" for name in ("ndcg", "map") for cutoff in cutoffs]
  result = {name: np.where(engagements > 0, 0.0, np.nan) for name in names}
  if not chosen.any():
    return result
  lists = _Lists(users[chosen], scores[chosen], engaged[chosen])
  most = int(min(max(cutoffs), engagements.max()))
  ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, most + 2)))])
  found = np.flatnonzero(engagements)
  for cutoff in cutoffs:
    reachable = np.minimum(engagements[found], cutoff)
    gains = np.bincount(lists.users, lists.gains_within(cutoff), num_users)
    precisions = np.bincount(lists.users, lists.precisions_within(cutoff), num_users)
    result[f"ndcg@{cutoff}"][found] = gains[found] / ideal[reachable]
    result[f"map@{cutoff}"][found] = precisions[found] / reachable
  return result


class _Lists:
  """Examples by user and falling score, each with what holds of its group of tied scores."""

  def __init__(self, users: np.ndarray, scores: np.ndarray, engaged: np.ndarray):
    keys = users.astype(np.uint64) << np.uint64(33) | falling_bits(scores).astype(
      np.uint64
    ) << np.uint64(1)
    keys = np.sort(keys | engaged.astype(np.uint64))
    self.users = (keys >> np.uint64(33)).astype(np.int64)
    starts = _starts(keys >> np.uint64(1))
    sizes = np.diff(np.append(starts, keys.size))
    hits = np.add.reduceat(keys & np.uint64(1), starts).astype(np.float64)
    first = _starts(self.users)
    list_sizes = np.diff(np.append(first, keys.size))
    hits_before = np.repeat(np.cumsum(hits) - hits, sizes)
    self._hits_before = hits_before - np.repeat(hits_before[first], list_sizes)
    offsets = np.repeat(first, list_sizes)
    self._rank = np.arange(keys.size) - offsets + 1
    self._rank_in_group = np.arange(keys.size) - np.repeat(starts, sizes)
    self._hits, self._size = np.repeat(hits, sizes), np.repeat(sizes, sizes)

  def gains_within(self, cutoff: int) -> np.ndarray:
    gains = self._hits / self._size / np.log2(self._rank + 1)
    return gains * (self._rank <= cutoff)

  def precisions_within(self, cutoff: int) -> np.ndarray:
    others = (self._hits - 1) / np.maximum(self._size - 1, 1)
    hits_up_to = self._hits_before + 1 + self._rank_in_group * others
    return self._hits / self._size * hits_up_to / self._rank * (self._rank <= cutoff)


def _starts(ordered: np.ndarray) -> np.ndarray:
  """Returns where each run of equal values starts."""
  return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))

"""Tests of `heavy_ranker.evaluation.user_metrics`."""

import itertools
import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation import prediction_keys
from heavy_ranker.evaluation.user_metrics import user_aurocs, user_rankings


@st.composite
def lists(draw, values, most_users=4, most_examples=25):
  size = draw(st.integers(1, most_examples))
  columns = [
    draw(st.lists(each, min_size=size, max_size=size))
    for each in (st.integers(0, most_users - 1), values, st.booleans())
  ]
  users, numbers, labels = columns
  return np.array(users), np.array(numbers, np.float32), np.array(labels)


TIED = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@settings(deadline=None)
@given(lists(TIED | st.floats(0, 1, width=32)))
def test_auroc_of_a_user_is_that_of_the_users_examples(data):
  users, probabilities, labels = data
  actual = user_aurocs(users, 4, prediction_keys.encode(probabilities, labels))
  for user in range(4):
    chosen = users == user
    wanted = labels[chosen]
    if wanted.any() and not wanted.all():
      expected = sklearn.metrics.roc_auc_score(wanted, probabilities[chosen])
      assert actual[user] == pytest.approx(expected)
    else:
      assert math.isnan(actual[user])


@settings(deadline=None)
@given(lists(st.sampled_from([-3.0, -0.0, 0.0, 2.5]) | st.floats(-1e6, 1e6, width=32)))
def test_ndcg_is_scikit_learns(data):
  users, scores, engaged = data
  actual = user_rankings(users, 4, scores, engaged, [1, 3])
  for user, cutoff in itertools.product(range(4), [1, 3]):
    chosen = users == user
    value = actual[f"ndcg@{cutoff}"][user]
    if not engaged[chosen].any():
      assert math.isnan(value)
    elif chosen.sum() == 1:  # scikit-learn refuses lists of one.
      assert value == pytest.approx(1)
    else:
      expected = sklearn.metrics.ndcg_score([engaged[chosen]], [scores[chosen]], k=cutoff)
      assert value == pytest.approx(expected)


def average_precision_over_orders(scores, engaged, cutoff):
  """The mean over all orders that the scores allow."""
  values = []
  for order in itertools.permutations(range(len(scores))):
    if all(scores[a] >= scores[b] for a, b in zip(order, order[1:])):
      hits = np.cumsum([engaged[i] for i in order])
      terms = [hits[i] / (i + 1) for i in range(min(cutoff, len(order))) if engaged[order[i]]]
      values.append(sum(terms) / min(cutoff, sum(engaged)))
  return np.mean(values)


@settings(deadline=None, max_examples=50)
@given(lists(TIED, most_users=2, most_examples=7), st.integers(1, 8))
def test_map_is_the_mean_over_the_orders_of_ties(data, cutoff):
  users, scores, engaged = data
  actual = user_rankings(users, 2, scores, engaged, [cutoff])[f"map@{cutoff}"]
  for user in range(2):
    chosen = users == user
    if engaged[chosen].any():
      expected = average_precision_over_orders(scores[chosen], engaged[chosen], cutoff)
      assert actual[user] == pytest.approx(expected)
    else:
      assert math.isnan(actual[user])


def test_a_list_worked_by_hand():
  scores, engaged = np.array([4, 3, 2, 1], np.float32), np.array([False, True, True, False])
  actual = user_rankings(np.zeros(4, np.int64), 1, scores, engaged, [2])
  assert actual["map@2"][0] == pytest.approx((1 / 2) / 2)
  ideal = 1 + 1 / math.log2(3)
  assert actual["ndcg@2"][0] == pytest.approx((1 / math.log2(3)) / ideal)

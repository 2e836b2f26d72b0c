"""Tests of `heavy_ranker.evaluation.example_store`."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation.example_store import ExampleStore, hashes


def fill(store, users, splits):
  for part in np.split(np.arange(users.size), splits):
    keys = np.stack([part, part + 1000], axis=1).astype(np.uint32)
    store.add(keys, part.astype(np.float32), users[part], users[part][np.newaxis] % 2 == 0)


@settings(deadline=None)
@given(
  st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), min_size=1, max_size=60),
  st.lists(st.integers(0, 60), max_size=4).map(sorted),
  st.integers(1, 80),
)
def test_what_is_kept_is_all_of_some_users(users, splits, most):
  users = np.array(users, np.int64)
  store = ExampleStore(num_tasks=2, num_strata=1, max_examples=most)
  fill(store, users, [split for split in splits if split <= users.size])
  assert len(store) == store.units().size <= most
  kept = np.isin(users, store.units())
  assert (store.halvings == 0) == (users.size <= most)
  assert np.array_equal(store.scores(), np.flatnonzero(kept).astype(np.float32))
  assert np.array_equal(store.keys(1), np.flatnonzero(kept) + 1000)
  assert np.array_equal(store.stratum(0), users[kept] % 2 == 0)


@settings(deadline=None)
@given(st.permutations(range(40)), st.lists(st.integers(0, 40), max_size=4).map(sorted))
def test_who_is_kept_does_not_depend_on_the_order(order, splits):
  users = np.arange(40) // 2
  stores = [ExampleStore(2, 1, 15) for _ in range(2)]
  fill(stores[0], users, [])
  fill(stores[1], users[list(order)], splits)
  kept = [sorted(store.units()) for store in stores]
  assert kept[0] == kept[1]
  assert 0 < len(kept[0]) <= 15


def test_hashes_halve_evenly():
  numbers = hashes(np.arange(100_000))
  assert np.unique(numbers).size == 100_000
  for bits in (1, 2, 5):
    share = (numbers >> np.uint64(64 - bits) == 0).mean()
    assert abs(share * 2**bits - 1) < 0.1

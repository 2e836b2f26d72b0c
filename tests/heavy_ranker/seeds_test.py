"""Tests of `heavy_ranker.seeds`."""

from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.seeds import derive_seed


@given(st.integers(0, 2**63), st.text())
def test_is_a_repeatable_seed_that_tensorflow_takes(seed, name):
  derived = derive_seed(seed, name)
  assert derived == derive_seed(seed, name)
  assert 0 <= derived < 2**31


def test_is_the_same_in_every_process_and_version():
  assert [derive_seed(0, "a"), derive_seed(0, "b"), derive_seed(7, "a")] == [
    0x73835521,
    0x6A8A049B,
    0x76CC43A4,
  ]


def test_seeds_and_names_give_seeds_of_their_own():
  derived = {derive_seed(seed, f"layer_{index}") for seed in range(50) for index in range(50)}
  assert len(derived) == 2500

"""The merge is JSON Merge Patch: the RFC's own examples, and its laws."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.config.merge_patch import merge

_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_KEYS = st.sampled_from("abc")
_VALUES = st.recursive(
  _SCALARS,
  lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
  max_leaves=12,
)
_MAPPINGS = st.dictionaries(_KEYS, _VALUES, max_size=3)


def _of_one_shape(depth):
  """Mappings in which a key means a mapping wherever it stands, or a value wherever it stands."""
  leaves = st.dictionaries(st.sampled_from("abc"), st.integers() | st.lists(st.integers()))
  if depth == 0:
    return leaves
  inner = st.dictionaries(st.sampled_from("XYZ"), _of_one_shape(depth - 1))
  return st.tuples(leaves, inner).map(lambda parts: {**parts[0], **parts[1]})


_CONFIGURATIONS = _of_one_shape(2)


# RFC 7396, appendix A.
@pytest.mark.parametrize(
  ("base", "changes", "expected"),
  [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
  ],
)
def test_the_examples_of_the_rfc(base, changes, expected):
  assert merge(base, changes) == expected


@settings(deadline=None)
@given(_MAPPINGS, _MAPPINGS)
def test_the_same_changes_twice_are_the_changes_once(base, changes):
  once = merge(base, changes)
  assert merge(once, changes) == once


@settings(deadline=None)
@given(_MAPPINGS, _MAPPINGS)
def test_neither_argument_changes(base, changes):
  before = copy.deepcopy((base, changes))
  merge(base, changes)
  assert (base, changes) == before


@settings(deadline=None)
@given(_CONFIGURATIONS, _CONFIGURATIONS, _CONFIGURATIONS)
def test_a_chain_may_be_merged_from_either_end(first, second, third):
  assert merge(merge(first, second), third) == merge(first, merge(second, third))


@settings(deadline=None)
@given(_MAPPINGS, _MAPPINGS)
def test_every_key_comes_from_where_it_was_last_said(base, changes):
  merged = merge(base, changes)
  assert merge(base, {}) == base
  for key in {*base, *changes}:
    if key not in changes:
      assert merged[key] == base[key]
    elif changes[key] is None:
      assert key not in merged
    elif not isinstance(changes[key], dict):
      assert merged[key] == changes[key]
    else:
      assert merged[key] == merge(base.get(key), changes[key])

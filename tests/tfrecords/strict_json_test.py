"""Tests of `tfrecords.strict_json`."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecords.strict_json import text_of

_SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.floats()
_DATA = st.recursive(
  _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def _refuse(constant):
  raise AssertionError(f"{constant} is no JSON")


@given(_DATA)
def test_whatever_is_finite_comes_back(content):
  def expected(value):
    if isinstance(value, list):
      return [expected(each) for each in value]
    if isinstance(value, dict):
      return {key: expected(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value

  assert json.loads(text_of(content), parse_constant=_refuse) == expected(content)


def test_the_text_is_indented_and_ends_its_last_line():
  assert text_of({"a": (1, math.nan)}, indent=2) == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'


def test_what_is_no_plain_data_is_refused():
  with pytest.raises(TypeError):
    text_of({"a": object()})

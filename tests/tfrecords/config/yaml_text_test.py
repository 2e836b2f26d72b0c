"""Tests of `tfrecords.config.yaml_text`."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tfrecords.config.yaml_text import text_of

_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
_DATA = st.dictionaries(st.text(max_size=9), _SCALARS | st.lists(_SCALARS, max_size=3), max_size=4)


@given(st.dictionaries(st.text(max_size=9), _DATA, max_size=3))
def test_what_is_written_is_read(content):
  found = yaml.safe_load(text_of(content))
  assert found == content
  assert list(found) == list(content)


def test_people_can_read_it():
  sizes = [3, 4]
  content = {"b": {"sizes": sizes, "again": sizes}, "a": [{"x": 1}, {"y": []}]}
  expected = "b:\n  sizes: [3, 4]\n  again: [3, 4]\na:\n- x: 1\n- y: []\n"
  assert text_of(content) == expected

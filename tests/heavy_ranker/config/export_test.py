"""Tests of `heavy_ranker.config.export`: columns spelled out, every complaint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.config.export import ExportConfig
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError


def parse(rank):
  return validate(ExportConfig, {"rank": rank}, "example").rank


def complaint(rank):
  with pytest.raises(ConfigError) as error:
    parse(rank)
  (line,) = str(error.value).splitlines()[1:]
  return line.strip()


def test_absent_keys():
  rank = validate(ExportConfig, None, "example").rank
  assert rank.user_features is None
  assert rank.user_columns == {}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans()), min_size=1))
def test_numbers_and_ranges_say_the_same(parts):
  entries, expected, start = [], [], 0
  for gap, length, is_text in parts:
    first, last = start + gap, start + gap + length
    columns = list(range(first, last + 1))
    entries += [f"{first}-{last}"] if is_text else columns
    expected += columns
    start = last + 1
  assert parse({"user_columns": {"continuous": entries}}).user_columns == {"continuous": expected}


def test_a_parsed_section_can_be_parsed_again():
  rank = parse({"user_columns": {"binary": ["3", "5-6", 9]}, "user_features": ["a"]})
  assert rank.user_columns == {"binary": [3, 5, 6, 9]}
  assert parse(rank.model_dump()) == rank


@pytest.mark.parametrize(
  "entry", ["9-8", "-1", "1-", "a", "", "1-2-3", 1.5, -1, None, [1], 1000000, "0-1000000", "٣"]
)
def test_what_is_no_column(entry):
  message = complaint({"user_columns": {"continuous": [0, entry]}})
  assert message.startswith("rank.user_columns.continuous.1: found ")
  assert "allowed: columns such as 7" in message


def test_booleans_and_other_types():
  assert "a boolean" in complaint({"user_columns": {"continuous": [True]}})
  assert "list" in complaint({"user_columns": {"continuous": "0-9"}})
  assert "dictionary" in complaint({"user_columns": [1]})


def test_nothing_twice_and_nothing_empty():
  assert (
    complaint({"user_columns": {"binary": ["0-4", 4]}})
    == "rank.user_columns.binary: column 4 is listed twice, allowed: once"
  )
  assert "user_columns.binary: found no column" in complaint({"user_columns": {"binary": []}})
  assert "'a' stands in it twice" in complaint({"user_features": ["a", "b", "a"]})
  both = {"user_features": ["binary"], "user_columns": {"binary": [0]}}
  assert "user_columns.binary: found an input of user_features" in complaint(both)
  assert "did you mean 'user_columns'" in complaint({"user_column": {}})

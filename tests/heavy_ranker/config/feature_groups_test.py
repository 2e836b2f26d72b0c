"""Tests of `heavy_ranker.config.feature_groups`."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.config.feature_groups import FeatureGroupPart, read_feature_groups
from tfrecords.errors import ConfigError

BAZEL_SIZE = "small"
BAZEL_DATA = ["//configs:all"]


def read(folder, content):
  path = folder / "groups.yaml"
  path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
  return read_feature_groups(str(path))


def listed(part):
  return [column for span in part.spans() for column in span]


@given(
  st.lists(
    st.tuples(st.integers(0, 9999), st.integers(0, 50)).map(
      lambda span: (span[0], span[0] + span[1])
    ),
    min_size=1,
    max_size=5,
  ),
  st.sampled_from(["{}-{}", " {} - {} "]),
)
def test_a_span_has_both_its_ends(spans, style):
  part = FeatureGroupPart(input="a", columns=[style.format(*span) for span in spans])
  assert listed(part) == [c for first, last in spans for c in range(first, last + 1)]


@pytest.mark.parametrize(
  "columns, expected", [(7, [7]), ("2-4", [2, 3, 4]), ([0, "5-6", 3], [0, 5, 6, 3])]
)
def test_columns_are_numbers_and_spans(tmp_path, columns, expected):
  groups = read(tmp_path, {"g": {"input": "a", "columns": columns}})
  assert listed(groups["g"][0]) == expected


def test_a_group_is_a_part_or_several_in_yaml_or_json(tmp_path):
  content = {"b": [{"input": "x"}, {"input": "y", "names": ["n"]}], "a": {"input": "z"}}
  for text in (yaml.safe_dump(content, sort_keys=False), json.dumps(content)):
    groups = read(tmp_path, text)
    assert [[part.input for part in parts] for parts in groups.values()] == [["x", "y"], ["z"]]
    assert list(groups) == ["b", "a"]
    assert groups["a"][0].spans() is None


@pytest.mark.parametrize(
  "content, message",
  [
    ({}, "found no group"),
    ("[", "no valid YAML"),
    ("a: {input: x}\na: {input: y}", "key 'a' is given twice"),
    ({"all": {"input": "x"}}, "a group named 'all', allowed: text other than all and none"),
    ({3: {"input": "x"}}, "a group named 3"),
    ({"g": 3}, "g: found 3 .int., allowed: a mapping with the keys input, columns, names"),
    ({"g": []}, "or a list of such"),
    ({"g": {}}, "input: found nothing"),
    ({"g": {"input": "x", "column": 3}}, "column: unknown key, did you mean 'columns'"),
    ({"g": {"input": "x", "columns": []}}, "columns: found .*at least 1 item"),
    ({"g": {"input": "x", "columns": [True]}}, "columns.0"),
    ({"g": {"input": "x", "columns": -1}}, "found -1, allowed: numbers from 0 and spans"),
    ({"g": {"input": "x", "columns": "9-5"}}, "found '9-5'"),
    ({"g": {"input": "x", "columns": ["5-", 2]}}, "found '5-'"),
    ({"g": {"input": "x", "columns": 1.5}}, "columns"),
  ],
)
def test_mistakes_are_named_with_file_and_group(tmp_path, content, message):
  with pytest.raises(ConfigError, match=message) as raised:
    read(tmp_path, content)
  assert "groups.yaml" in str(raised.value)


def test_the_file_for_the_demonstration_can_be_read():
  path = Path(__file__).parents[3] / "configs" / "demo" / "feature_groups.yaml"
  groups = read_feature_groups(str(path))
  assert listed(groups["informative continuous"][0]) == list(range(16))

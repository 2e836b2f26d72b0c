"""Tests of `heavy_ranker.evaluation.feature_columns`."""

from pathlib import Path

import numpy as np
import pytest

from heavy_ranker.config import load_config
from heavy_ranker.config.feature_groups import FeatureGroupPart, read_feature_groups
from heavy_ranker.evaluation.feature_columns import FeatureColumns
from tests.heavy_ranker.small_run import WIDTHS, small_config
from tfrecords.errors import ConfigError

BAZEL_SIZE = "medium"
BAZEL_DATA = ["//configs:all"]
INPUTS = tuple(WIDTHS)
KEPT = (0, 2, 3, 6)  # Of the record's 9 columns: 7 are left by truncation, 4 of these by the mask.


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
  folder = tmp_path_factory.mktemp("columns")
  np.save(folder / "mask.npy", np.isin(np.arange(7), KEPT))
  key = "validation_data.validation.preprocess.truncate_and_slice.continuous_feature_mask_path"
  config = small_config(folder, f"{key}={folder / 'mask.npy'}")
  return FeatureColumns(config.validation_data["validation"], "validation_data.validation", INPUTS)


def groups_of(columns, **groups):
  parts = {
    name: [FeatureGroupPart(**part) for part in (value if isinstance(value, list) else [value])]
    for name, value in groups.items()
  }
  return columns.groups(parts, "groups.yaml")


def test_places_are_translated_through_truncation_and_mask(columns):
  groups, notes = groups_of(
    columns,
    some={"input": "continuous", "columns": [6, "1-3"], "names": ["six", "one", "two", "three"]},
    gone={"input": "continuous", "columns": [4, 8]},
    mixed=[{"input": "binary", "columns": "3-4"}, {"input": "continuous", "columns": 0}],
  )
  assert [group.name for group in groups] == ["some", "mixed"]
  assert groups[0].columns["continuous"].tolist() == [3, 1, 2]
  assert groups[0].features == ("six", "two", "three")
  assert {name: places.tolist() for name, places in groups[1].columns.items()} == {
    "binary": [3, 4],
    "continuous": [0],
  }
  assert groups[1].features == ("binary[3]", "binary[4]", "continuous[0]")
  assert notes[:2] == [
    f"{name}: {cut} columns are left out, since validation_data.validation.preprocess."
    "truncate_and_slice cuts them away"
    for name, cut in (("some", "1 of its 4"), ("gone", "2 of its 2"))
  ]
  assert "3 of the 5 columns of binary are in no group" in notes
  assert len(notes) == 5


def test_single_columns_have_the_names_of_the_group(columns):
  groups, _ = groups_of(columns, g={"input": "continuous", "columns": "2-3", "names": ["b", "c"]})
  singles = [(each.name, each.columns["continuous"].tolist()) for each in groups[0].singles()]
  assert singles == [("b", [1]), ("c", [2])]


def test_parts_of_one_input_are_joined_in_the_order_of_their_names(columns):
  groups, _ = groups_of(
    columns,
    g=[
      {"input": "continuous", "columns": 3},
      {"input": "binary", "columns": 1},
      {"input": "continuous", "columns": 0},
    ],
  )
  assert groups[0].columns["continuous"].tolist() == [2, 0]
  assert groups[0].features == ("continuous[3]", "continuous[0]", "binary[1]")
  assert [single.name for single in groups[0].singles()] == list(groups[0].features)


def test_without_a_file_each_input_is_a_group_named_by_places_in_the_record(columns):
  groups = columns.each_input()
  assert [group.name for group in groups] == list(INPUTS)
  assert groups[0].features == tuple(f"continuous[{place}]" for place in KEPT)
  assert groups[0].columns["continuous"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
  "groups, message",
  [
    ({"g": {"input": "binry"}}, "g.input: found 'binry', .* did you mean 'binary'.; allowed: cont"),
    ({"g": {"input": "binary", "columns": 5}}, "g.columns: found 5, allowed: 0 to 4"),
    ({"g": {"input": "binary", "columns": "0-999999999"}}, "g.columns: found 999999999"),
    ({"g": {"input": "binary", "names": ["a"]}}, "g.names: found 1, allowed: 5"),
    ({"g": {"input": "binary", "columns": [1, "0-1"]}}, "column 1 of 'binary' is twice in 'g'"),
    (
      {"g": {"input": "binary"}, "h": {"input": "binary", "columns": 2}},
      "column 2 of 'binary' is in 'g' and in 'h', allowed: once",
    ),
    ({"g": {"input": "continuous", "columns": "7-8"}}, "found no column that .* leaves"),
  ],
)
def test_mistakes_are_named(columns, groups, message):
  with pytest.raises(ConfigError, match=message) as raised:
    groups_of(columns, **groups)
  assert str(raised.value).startswith("groups.yaml")


def test_extracted_features_are_inputs_of_one_column(tmp_path):
  table = "{name: age, source_tensor: continuous, index: 2}"
  key = "validation_data.validation.preprocess.extract_features.extract_feature_table"
  config = small_config(tmp_path, f"{key}=[{table}]")
  partition = config.validation_data["validation"]
  columns = FeatureColumns(partition, "validation_data.validation", (*INPUTS, "age"))
  groups, _ = groups_of(columns, g={"input": "age", "columns": 0})
  assert groups[0].columns["age"].tolist() == [0]


def test_the_groups_of_the_demonstration_fit_its_records(monkeypatch):
  folder = Path(__file__).parents[3] / "configs"
  monkeypatch.setenv("HOME", "/nowhere")
  config = load_config(folder / "demo.yaml")
  inputs = ("continuous", "binary", "user_embedding", "user_eng_embedding", "author_embedding")
  columns = FeatureColumns(config.validation_data["validation"], "validation", inputs)
  path = str(folder / "demo" / "feature_groups.yaml")
  groups, notes = columns.groups(read_feature_groups(path), path)
  assert notes == []
  assert [len(group.features) for group in groups] == [16, 48, 8, 8, 32, 16]

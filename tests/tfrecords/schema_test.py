"""Tests of `tfrecords.schema`."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords import paths
from tfrecords.errors import ConfigError, DataError
from tfrecords.schema import VARIABLE_LENGTH, Feature, features_of, load_schema

BAZEL_DATA = ["//configs:all"]

PRODUCTION = Path(paths.package_root()) / "configs" / "home_recap_2022" / "segdense.json"


def entry(**changes):
  return {"feature_name": "a", "dtype": "int64_list", "length": 1, **changes}


def complaint(path):
  with pytest.raises(DataError) as caught:
    load_schema(str(path), "train_data.seg_dense_schema.schema_path")
  assert str(path) in str(caught.value)
  return str(caught.value)


def features_complaint(config, key="train_data"):
  with pytest.raises(ConfigError) as caught:
    features_of(config, key)
  return str(caught.value)


def test_reads_a_schema(tmp_path):
  schema = load_schema(str(record_files.write_schema(tmp_path)))
  assert list(schema) == [item["feature_name"] for item in record_files.SCHEMA]
  assert schema["cont_vals"] == Feature("cont_vals", "cont_vals", "float_list", 5)
  assert schema["cont_vals"].tensor_dtype == tf.float32
  assert schema["user.topics"].length == VARIABLE_LENGTH
  assert schema["user.lang"].tensor_dtype == tf.string
  assert schema["is_liked"].tensor_dtype == tf.int64


def test_the_production_schema():
  schema = load_schema(str(PRODUCTION))
  assert len(schema) == 22
  assert schema["home_recap_2022_cont__segdense_vals"].length == 6000
  assert sum(name.startswith("recap.engagement.") for name in schema) == 13


def test_a_missing_file_names_key_and_way_out(tmp_path):
  message = complaint(tmp_path / "nowhere.json")
  assert message.startswith("train_data.seg_dense_schema.schema_path: ")
  assert "--set train_data.seg_dense_schema.schema_path=PATH" in message


def test_a_folder(tmp_path):
  assert "cannot be read" in complaint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"schema: []", b"\xff\xfe\x00", b"[" * 100_000])
def test_no_json(tmp_path, content):
  (tmp_path / "schema.json").write_bytes(content)
  assert "is no JSON" in complaint(tmp_path / "schema.json")


@pytest.mark.parametrize("content", [[], {}, {"schema": {}}, {"schema": None}, "schema", 3])
def test_json_without_a_list_of_features(tmp_path, content):
  (tmp_path / "schema.json").write_text(json.dumps(content))
  assert 'no list under "schema"' in complaint(tmp_path / "schema.json")


@pytest.mark.parametrize(
  "bad, words",
  [
    ("a", "found 'a', allowed: feature_name, dtype and length"),
    ({"feature_name": "a", "dtype": "int64_list"}, "allowed: feature_name, dtype and length"),
    (entry(feature_name=None), "found feature_name None, allowed: a name"),
    (entry(feature_name=""), "found feature_name '', allowed: a name"),
    (entry(feature_name=["a"]), "found feature_name ['a'], allowed: a name"),
    (entry(dtype="int"), "(a): found dtype 'int', allowed: int64_list, float_list, bytes_list"),
    (entry(dtype=["int64_list"]), "(a): found dtype ['int64_list'], allowed: int64_list"),
    (entry(length=0), "(a): found length 0, allowed: at least 1, or -1"),
    (entry(length=-2), "(a): found length -2, allowed: at least 1, or -1"),
    (entry(length=2.5), "(a): found length 2.5, allowed: at least 1, or -1"),
    (entry(length=True), "(a): found length True, allowed: at least 1, or -1"),
    (entry(length="5"), "(a): found length '5', allowed: at least 1, or -1"),
    (entry(length=None), "(a): found length None, allowed: at least 1, or -1"),
  ],
)
def test_a_bad_entry_is_named(tmp_path, bad, words):
  message = complaint(record_files.write_schema(tmp_path, [entry(feature_name="good"), bad]))
  assert "schema[1]" in message
  assert words in message


def test_a_feature_listed_twice(tmp_path):
  path = record_files.write_schema(tmp_path, [entry(), entry(length=3)])
  assert "feature 'a' is listed twice, allowed: once" in complaint(path)


def test_all_features_when_none_are_chosen(tmp_path):
  features = features_of(record_files.data_config(tmp_path, {"features": None}))
  assert set(features) == {
    "continuous",
    "binary",
    "author_embedding",
    "meta__author_id",
    "spare",
    "user.topics",
    "user.lang",
    "is_liked",
    "is_replied",
  }
  assert features["continuous"] == Feature("cont_vals", "continuous", "float_list", 5)


def test_chosen_and_renamed_features_and_labels(tmp_path):
  config = record_files.data_config(
    tmp_path,
    {"features": ["spare"], "renamed_features": {"continuous": "cont_vals"}},
    tasks={"is_replied": {}},
  )
  assert list(features_of(config)) == ["continuous", "spare", "is_replied"]


@pytest.mark.parametrize(
  "section", [{"features": ["spares"]}, {"renamed_features": {"continuous": "spares"}}]
)
def test_an_unknown_feature_gets_the_nearest_name(tmp_path, section):
  message = features_complaint(record_files.data_config(tmp_path, section), "validation_data.all")
  assert message.startswith("validation_data.all.seg_dense_schema: ")
  assert "no feature 'spares', did you mean 'spare'?" in message


@pytest.mark.parametrize("name", ["is_liked", "spare"])
def test_two_features_of_one_name(tmp_path, name):
  section = {"features": None, "renamed_features": {name: "author.vector"}}
  message = features_complaint(record_files.data_config(tmp_path, section))
  assert f"train_data.seg_dense_schema.renamed_features.{name}: " in message
  assert f"found 'author.vector' and '{name}'" in message


def test_a_task_the_schema_lacks_gets_the_nearest_name(tmp_path):
  config = record_files.data_config(tmp_path, tasks={"is_likd": {}})
  message = features_complaint(config)
  assert message.startswith("train_data.tasks.is_likd: ")
  assert str(tmp_path / "schema.json") in message
  assert "did you mean 'is_liked'?" in message


def test_a_label_has_to_be_one_integer(tmp_path):
  message = features_complaint(record_files.data_config(tmp_path, tasks={"spare": {}}))
  assert message.startswith("train_data.tasks.spare: ")
  assert "says float_list of length 2, allowed for a label: int64_list of length 1" in message


def test_a_label_keeps_its_name(tmp_path):
  section = {"renamed_features": {"liked": "is_liked"}}
  message = features_complaint(record_files.data_config(tmp_path, section))
  assert message.startswith("train_data.seg_dense_schema.renamed_features.liked: found 'is_liked'")


def test_an_unset_variable_in_the_path(tmp_path):
  config = record_files.data_config(tmp_path, {"schema_path": "${NO_SUCH_PLACE}/schema.json"})
  message = features_complaint(config)
  assert message.startswith("train_data.seg_dense_schema.schema_path: ")
  assert "NO_SUCH_PLACE, which is not set" in message

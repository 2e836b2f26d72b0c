import pathlib

import pytest

from tests.tfrecords.ingestion import small_table
from tfrecords.errors import ConfigError
from tfrecords.ingestion.mapping import load_mapping

BAZEL_DATA = ["//configs:all"]

_MAPPINGS = pathlib.Path(__file__).parents[3] / "configs" / "mappings"


@pytest.mark.parametrize("name", sorted(path.name for path in _MAPPINGS.glob("*.yaml")))
def test_the_mappings_there_are_can_be_used(name):
  mapping = load_mapping(_MAPPINGS / name)
  assert mapping.labels
  assert "train" in mapping.split.parts


def test_kuairand_has_all_columns():
  mapping = load_mapping(_MAPPINGS / "kuairand.yaml")
  found = [mapping.continuous[0].names, mapping.binary[0].names, mapping.discrete[0].names]
  assert [len(names) for names in found] == [117, 38, 22]
  assert len(mapping.labels) == 11


def test_the_challenge_of_2021_differs_in_its_weeks():
  mapping = load_mapping(_MAPPINGS / "recsys_challenge_2021.yaml")
  assert mapping.split.parts["validation"].below is None
  assert "unlabelled" not in mapping.split.parts
  assert len(mapping.csv.columns) == 24


def _split(**parts):
  return {"split": {"column": "day", "parts": {"train": {"below": 3}, **parts}}}


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"continous": []}, "continous: unknown key, did you mean 'continuous'?"),
    ({"format": "xlsx"}, "format: found 'xlsx'"),
    ({"continuous": []}, "continuous: found []"),
    ({"continuous": [{"column": "a", "columns": ["b"]}]}, "continuous.0: found column and columns"),
    ({"continuous": [{}]}, "continuous.0: found none of them"),
    ({"continuous": [{"column": "a", "transform": ["log1p"]}]}, "did you mean 'log1p_abs'"),
    ({"continuous": [{"column": "a", "transform": [{"clip": [2, 1]}]}]}, "clip: found [2.0, 1.0]"),
    ({"continuous": [{"column": "a", "transform": [{"clip": [1]}]}]}, "clip"),
    ({"continuous": [{"column": "a", "missing": "zero"}]}, "continuous.0.missing"),
    ({"continuous": [{"column": "a", "hour": {}, "weekday": {}}]}, "at most one of"),
    ({"continuous": [{"column": "a", "separator": ","}]}, "separator: found without count_items"),
    ({"continuous": [{"column": "a", "age": {"at": "b", "unit": "h"}}]}, "unit: found 'h'"),
    ({"binary": [{"column": "a", "missing": 2}]}, "missing: found 2.0, allowed: error, 0 or 1"),
    ({"binary": [{"column": "a", "one_hot": ["x", "x"]}]}, "one_hot: found 'x' twice"),
    ({"discrete": [{"column": "a", "missing": 0.5}]}, "missing: found 0.5"),
    ({"discrete": [{"column": "a", "hash": {"buckets": 0}}]}, "buckets: found 0"),
    ({"discrete": [{"column": "a", "hash": {"buckets": 9}, "missing": 3}]}, "becomes 0"),
    ({"ids": {"not a name": "user"}}, "ids.not a name"),
    ({"ids": {"binary": "user"}}, "binary: two features would bear this name"),
    ({"ids": {small_table.TASK.replace(".", "_"): "user"}, "labels": {}}, "labels: found none"),
    ({"labels": {"x": {"expresion": "a > 0"}}}, "did you mean 'expression'"),
    ({"labels": ["a > 0"]}, "labels: found"),
    ({"split": {"column": "day", "parts": {"test": {"below": 3}}}}, "allowed: train among them"),
    ({"split": {"parts": {"train": {"below": 3}}}}, "split.column: found none"),
    (_split(test={"at_least": 2}), "its range begins before that of train ends"),
    (_split(test={"at_least": 5, "below": 5}), "parts.test: found no value"),
    (_split(test={}), "at_least: found both or neither"),
    (_split(test={"at_least": "2020-01-01"}), "split.unit: found none beside the date"),
    (_split(test={"at_least": "yesterday"}), "found 'yesterday', allowed: a number, YYYY-MM-DD"),
    (_split(**{"../x": {"at_least": 5}}), "split.parts.../x"),
    (_split(train={"below": 3, "may_be_empty": True}), "parts.train: found no rows or no labels"),
    ({"downsampling": {"negatives": {"is_bg": 0.1}}}, "did you mean 'is_big'"),
    ({"downsampling": {"negatives": {"is_big": 0}}}, "negatives.is_big: found 0"),
    ({"downsampling": {"negatives": {"is_big": 0.1}, "parts": ["x"]}}, "parts: found 'x'"),
    ({"output": {"examples_per_shard": 0}}, "examples_per_shard: found 0"),
    ({"output": {"seed": -1}}, "seed: found -1"),
    ({"csv": {}}, "csv: found with format parquet"),
    ({"format": "csv", "csv": {"delimiter": "||"}}, "csv.delimiter: found '||'"),
  ],
)
def test_what_contradicts_itself_or_is_unknown_is_named(changes, words):
  with pytest.raises(ConfigError) as error:
    small_table.mapping(**changes)
  assert words in str(error.value)

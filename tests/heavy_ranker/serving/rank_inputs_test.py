"""Tests of `heavy_ranker.serving.rank_inputs`: who owns which column."""

from types import SimpleNamespace

import pytest

from heavy_ranker.config.export import ExportConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.serving.rank_inputs import rank_inputs
from tests.heavy_ranker.small_run import small_config
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError

WIDTHS = {"continuous": 5, "binary": 3, "user_embedding": 4, "author_embedding": 4}


def divide(rank, widths=None):
  export = validate(ExportConfig, {"rank": rank}, "example")
  return rank_inputs(SimpleNamespace(export=export), WIDTHS if widths is None else widths)


def users(inputs):
  return {each.user_name: each.user_columns for each in inputs if each.user_columns}


def candidates(inputs):
  return {each.name: each.candidate_columns for each in inputs if each.candidate_columns}


def test_the_users_embeddings_and_id_are_the_users():
  widths = {**WIDTHS, "user_eng_embedding": 2, "meta__user_id": 1, "meta__author_id": 1}
  inputs = divide({}, widths)
  assert set(users(inputs)) == {"user_embedding", "user_eng_embedding", "meta__user_id"}
  assert set(candidates(inputs)) == {"continuous", "binary", "author_embedding", "meta__author_id"}
  assert [each.name for each in inputs] == list(widths)


def test_columns_are_divided():
  inputs = divide({"user_columns": {"continuous": ["3-4", 0], "user_embedding": [2]}})
  assert users(inputs) == {"user_continuous": (0, 3, 4), "user_user_embedding": (2,)}
  assert candidates(inputs)["continuous"] == (1, 2)
  assert candidates(inputs)["user_embedding"] == (0, 1, 3)


def test_a_list_of_inputs_replaces_the_default():
  assert users(divide({"user_features": ["binary"]})) == {"binary": (0, 1, 2)}
  assert users(divide({"user_features": []})) == {}


@pytest.mark.parametrize(
  "rank, message",
  [
    ({"user_features": ["user_embeding"]}, r"user_features\.0: .*did you mean 'user_embedding'"),
    ({"user_columns": {"discrete": [0]}}, "user_columns.discrete: the export has no input"),
    ({"user_columns": {"binary": [0, 3]}}, "found column 3, allowed: 0 to 2"),
    ({"user_columns": {"binary": ["0-2"]}}, "found all 3 columns"),
    ({"user_features": list(WIDTHS)}, "found every input, allowed: at most all but one"),
  ],
)
def test_what_does_not_fit_the_model(rank, message):
  with pytest.raises(ConfigError, match=message):
    divide(rank)


@pytest.mark.parametrize("name", ["k", "user_binary"])
def test_names_that_are_taken(name):
  with pytest.raises(ConfigError, match=f"would be called '{name}'"):
    divide({"user_columns": {"binary": [0]}}, {**WIDTHS, name: 1})


def test_it_is_found_before_training(tmp_path):
  config = small_config(tmp_path, "export.rank.user_columns.continuous=[7]")
  with pytest.raises(ConfigError, match="found column 7, allowed: 0 to 6"):
    check_config(config)

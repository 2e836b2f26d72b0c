import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.config import load_config
from heavy_ranker.tuning.search_space import SearchSpace, load_search_space
from heavy_ranker.tuning.trial_config import (
  as_yaml,
  check_space,
  difference,
  overrides_of,
  write_trial_config,
)
from tests.heavy_ranker.small_run import TASKS, write_config
from tfrecords import paths
from tfrecords.config.merge_patch import merge
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError

_MLP = "model.backbone.mask_net_config.mlp.layer_sizes"


@pytest.fixture(scope="module")
def config_path(tmp_path_factory):
  return str(write_config(tmp_path_factory.mktemp("small")))


def _space(objective=None, **parameters):
  objective = {"partition": "validation", **(objective or {})}
  return validate(SearchSpace, {"parameters": parameters, "objective": objective}, "space.yaml")


_plain = st.recursive(
  st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.lists(st.integers(0, 3)),
  lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
  max_leaves=8,
)
_mappings = st.dictionaries(st.sampled_from("abc"), _plain, max_size=3)


@given(_mappings, _mappings)
def test_the_difference_makes_one_of_the_other(base, content):
  assert merge(base, difference(base, content)) == content


def test_keys_come_before_those_inside_of_them():
  space = _space(**{"a.b": {"choices": [1, 2], "sets": ["a.b", "c"]}, "a": {"choices": [3, None]}})
  assert overrides_of(space, {"a.b": 1, "a": None}) == ["c=1", "a=null", "a.b=1"]


@pytest.mark.parametrize("value", [None, "x", "a: $b", [1, [2]], {"a": {"b": None}}, 1e-5, True])
def test_values_are_one_line_of_yaml(value):
  assert "\n" not in as_yaml(value)
  assert yaml.safe_load(as_yaml(value)) == value


def test_the_file_of_a_trial_means_what_the_overrides_do(config_path, tmp_path, monkeypatch):
  monkeypatch.setenv("SECRET", "unused")
  overrides = (
    f"{_MLP}=[5, 4]",
    f"model.tasks.{TASKS[0]}.pos_weight=2",
    f"optimizer.multi_task_learning_rates.tower_learning_rates.{TASKS[1]}={{constant: 0.5}}",
    "model.featurization_config.double_norm_log_config.layer_norm_config=null",
    "training.save_dir='/tmp/$$SECRET run'",
    "training.checkpoint_max_to_keep=2",
  )
  path = str(tmp_path / "made" / "best.yaml")
  config = write_trial_config(path, config_path, overrides, "two\nlines of $HOME")
  assert load_config(path) == config == load_config(config_path, overrides)
  assert config.model.tasks[TASKS[0]].pos_weight == 2
  assert os.listdir(tmp_path / "made") == ["best.yaml"]


@pytest.mark.parametrize(
  "parameters, objective, message",
  [
    ({"model.backbon": {"choices": [1, 2]}}, {}, "did you mean 'backbone'"),
    ({"optimizer.adam.beta_1": {"low": 0.5, "high": 1.5}}, {}, "parameters.optimizer.*: 1.5: "),
    ({_MLP: {"choices": [[8], [-1]]}}, {}, r"mlp.layer_sizes: \[-1\]: "),
    ({_MLP: {"choices": [[8], [9]]}}, {"partition": "valid"}, "did you mean 'validation'"),
    ({_MLP: {"choices": [[8], [9]]}}, {"metric": "aurocc"}, "did you mean 'auroc'"),
    ({_MLP: {"choices": [[8], [9]]}}, {"metric": "examples"}, "metric: found 'examples'"),
    ({_MLP: {"choices": [[8], [9]]}}, {"metric": "ndcg@3"}, "did you mean 'ndcg@10'"),
    ({_MLP: {"choices": [[8], [9]]}}, {"tasks": ["likes"]}, "tasks: found 'likes'"),
    ({_MLP: {"choices": [[8], [9]]}}, {"metric": "map@10", "tasks": [TASKS[0]]}, "of the score"),
  ],
)
def test_what_cannot_be_is_told_before_anything_trains(config_path, parameters, objective, message):
  with pytest.raises(ConfigError, match=message):
    check_space(_space(objective, **parameters), "space.yaml", config_path, ())


def test_the_demo_can_be_searched():
  root = paths.package_root()
  path = os.path.join(root, "configs", "search", "demo.yaml")
  base = os.path.join(root, "configs", "demo.yaml")
  check_space(load_search_space(path), path, base, ())

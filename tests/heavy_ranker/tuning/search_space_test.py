import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.tuning.search_space import Parameter, SearchSpace, load_search_space
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError

_OBJECTIVE = {"partition": "validation"}
_finite = st.floats(-1e12, 1e12, allow_subnormal=False)


def _space(**parameters):
  return {"parameters": parameters, "objective": _OBJECTIVE}


@given(_finite, _finite, st.booleans())
def test_a_range_is_taken_if_and_only_if_it_holds_numbers(low, high, log):
  content = {"low": low, "high": high, "log": log}
  if low < high and (low > 0 or not log):
    assert validate(Parameter, content, "x").extremes == [low, high]
  else:
    with pytest.raises(ConfigError, match="low: found"):
      validate(Parameter, content, "x")


@given(st.integers(-1000, 1000), st.integers(1, 50), st.integers(1, 20))
def test_steps_that_lead_from_low_to_high_are_taken(start, count, thousandths):
  low, step = start / 10, thousandths / 1000
  high = round(low + count * step, 3)
  parameter = validate(Parameter, {"low": low, "high": high, "step": step}, "x")
  for index in range(count + 1):
    assert parameter.value_of(low + index * step) == round(low + index * step, 3)
  with pytest.raises(ConfigError, match="step: found"):
    validate(Parameter, {"low": low, "high": high + step / 3, "step": step}, "x")


_json = st.recursive(
  st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
  lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
  max_leaves=4,
)


@given(st.lists(_json, min_size=2, max_size=5, unique_by=repr))
def test_choices_of_any_kind_come_back(choices):
  parameter = Parameter(choices=choices)
  assert [parameter.value_of(label) for label in parameter.labels] == choices


@given(st.dictionaries(st.text(max_size=8), _json, max_size=4))
def test_whatever_a_space_holds_it_is_taken_or_refused_with_its_name(content):
  try:
    validate(SearchSpace, content, "space.yaml")
  except ConfigError as error:
    assert str(error).startswith("space.yaml: ")
  else:
    raise AssertionError("it has no objective")


@pytest.mark.parametrize(
  "content, message",
  [
    ({}, "parameters: found nothing"),
    (_space(), "parameters: found {} .*allowed: .*at least 1"),
    ({**_space(a={"choices": [1, 2]}), "n_trials": 0}, "n_trials: found 0"),
    ({**_space(a={"choices": [1, 2]}), "n_trails": 3}, "did you mean 'n_trials'"),
    (_space(a={"low": 2, "high": 1}), "parameters.a.low: found 2, allowed: below high"),
    (_space(a={"low": 1}), "parameters.a.high: found nothing beside low"),
    (_space(a={"low": 0, "high": 1, "log": True}), "low: found 0 with log"),
    (_space(a={"low": 1, "high": 2, "log": True, "step": 1}), "step: found 1 with log"),
    (_space(a={"low": 1, "high": 2.5, "integer": True}), "high: found 2.5 with integer"),
    (_space(a={"low": -1.7e308, "high": 1.7e308}), "float64"),
    (_space(a={"low": 1, "high": math.inf}), "high: found inf"),
    (_space(a={"choices": [1]}), "at least two, each once"),
    (_space(a={"choices": [[1], [2], [1]]}), "at least two, each once"),
    (_space(a={"choices": [1, 2], "low": 1}), "exactly one of low, choices"),
    (_space(a={"choices": [1, 2], "log": True}), "log: found beside choices"),
    (_space(a={"low": True, "high": 2}), "low: found True"),
    (_space(a=3), "parameters.a: found 3 .*a mapping"),
    (_space(**{"training.save_dir": {"choices": ["a", "b"]}}), "search's own"),
    (_space(a={"choices": [1, 2]}, b={"choices": [1, 2], "sets": ["c", "a"]}), "set by a, too"),
    (
      {
        **_space(**{"training.num_train_steps": {"low": 1, "high": 9, "integer": True}}),
        "pruner": {"median": {}},
      },
      "cannot be compared",
    ),
    (
      {**_space(a={"choices": [1, 2]}), "pruner": {"median": {}, "successive_halving": {}}},
      "one of median",
    ),
    ({**_space(a={"choices": [1, 2]}), "pruner": {"median": {"rungs": [1.5]}}}, "rungs.0"),
  ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, content, message):
  path = tmp_path / "space.yaml"
  path.write_text(yaml.safe_dump(content))
  with pytest.raises(ConfigError, match=message):
    load_search_space(str(path))


@pytest.mark.parametrize("text", ["parameters: [", "- 1", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
  (tmp_path / "space.yaml").write_text(text)
  with pytest.raises(ConfigError, match="space.yaml: (no valid YAML|found)"):
    load_search_space(str(tmp_path / "space.yaml"))

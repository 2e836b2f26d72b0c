"""Tests of the keys of `export` that say how weights are stored."""

import re

import pytest

from tests.heavy_ranker import example_config
from tfrecords.errors import ConfigError


def parse(section, partitions=("validation",)):
  content = example_config.content()
  content["export"] = section
  content["validation_data"] = {name: content["train_data"] for name in partitions}
  return example_config.parse(content).export


def test_defaults():
  section = parse({}, partitions=())
  assert (section.precision, section.matmul_precision, section.is_compared) == (
    "float32",
    "float32",
    False,
  )


def test_the_only_partition_needs_no_name():
  section = parse({"precision": "bfloat16", "matmul_precision": "bfloat16"})
  assert section.is_compared
  assert section.compared_partition(["validation"]) == "validation"


def test_several_partitions():
  section = parse({"precision": "int8", "partition": "test"}, ("validation", "test"))
  assert section.compared_partition(["validation", "test"]) == "test"


def test_no_comparison_needs_no_partition():
  assert not parse({"precision": "int8", "check_precision": False}, ()).is_compared


@pytest.mark.parametrize(
  ("section", "partitions", "words"),
  [
    (
      {"precision": "float16"},
      ["a"],
      "export.precision: found 'float16' (str), allowed: 'float32'",
    ),
    ({"precision": "int8"}, [], "export.precision: found int8 and no partition in validation_data"),
    ({"precision": "int8"}, ["a", "b"], "export.partition: found none with precision int8, allow"),
    ({"partition": "test"}, ["tests"], "export.partition: found 'test', did you mean 'tests'?"),
    ({"partition": "test"}, [], "allowed: nothing, since validation_data is empty"),
    ({"matmul_precision": "bfloat16"}, ["a"], "export.matmul_precision: found bfloat16 with prec"),
    ({"precision": "int8", "max_score_change": 0}, ["a"], "export.max_score_change: found 0"),
    ({"precision": "int8", "min_kendall_tau": 1.1}, ["a"], "export.min_kendall_tau: found 1.1"),
    ({"precision": "int8", "max_examples": 1}, ["a"], "export.max_examples: found 1"),
    ({"min_elements": True}, ["a"], "export.min_elements: found True"),
    ({"precison": "int8"}, ["a"], "export.precison: unknown key, did you mean 'precision'?"),
  ],
)
def test_what_is_refused(section, partitions, words):
  with pytest.raises(ConfigError, match=re.escape(words)):
    parse(section, partitions)

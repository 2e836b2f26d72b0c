"""Tests of `heavy_ranker.evaluation.importance_table`."""

import math

from heavy_ranker.evaluation.importance_table import format_importance

BAZEL_SIZE = "small"


def entry(name, first, second, columns=1):
  features = [f"{name}[{place}]" for place in range(columns)]
  return {"name": name, "features": features, "drop": {"a.first": first, "a.second": second}}


def result(**changes):
  values = {
    "partition": "validation",
    "examples": 100,
    "repeats": 5,
    "seconds": 3.4,
    "metric": "auroc",
    "notes": ["x is in no group"],
    "reasons": {"a.second": "no example is positive"},
    "groups": [entry("small", 0.01, math.nan, 3), entry("large", 0.2, math.nan)],
    "features": [],
  }
  return {**values, **changes}


def test_the_largest_drop_comes_first_and_notes_last():
  lines = format_importance(result()).splitlines()
  assert lines[0] == "validation: 100 examples, 5 permutations, 3 s"
  assert lines[2].split() == ["group", "columns", "mean", "drop", "of", "auroc", "largest", "in"]
  assert [line.split() for line in lines[4:6]] == [
    ["large", "1", "0.2000", "first", "0.2000"],
    ["small", "3", "0.0100", "first", "0.0100"],
  ]
  assert lines[6:] == ["note: x is in no group", "note: second: no example is positive"]


def test_of_many_features_only_the_first_are_shown():
  features = [entry(f"f{number}", number / 100, -1.0) for number in range(23)]
  text = format_importance(result(features=features, metric="log_loss"))
  assert "(3 more in the report and the file)" in text
  assert "f22" in text and "f2 " not in text
  assert "mean rise of log_loss" in text

"""The table: the best first, the published tasks in their order, what is not there is a dash."""

import json
import math

import pytest

from benchmarks import json_file
from benchmarks.comparison_table import format_comparison, mean_auroc

BAZEL_SIZE = "small"


def _metrics(*aurocs):
  names = ("own.task", "recap.engagement.is_replied", "recap.engagement.is_favorited")
  return {name: {"auroc": auroc} for name, auroc in zip(names, aurocs)}


def test_rows_and_columns():
  rows = {
    "worse": {"parameters": 1234, "examples_per_second": None, "metrics": _metrics(0.5, 0.6, 0.7)},
    "better": {"parameters": 5, "examples_per_second": 9876.5, "metrics": _metrics(0.6, 0.6, 0.9)},
    "none": {"parameters": 5, "metrics": _metrics(math.nan, math.nan, None)},
    "teacher": {"metrics": _metrics(math.nan, 0.8, 0.9)},
  }
  lines = format_comparison(rows).splitlines()
  cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
  assert cells[0][3:] == ["mean AUROC", "like", "reply", "task"]
  assert set("".join(cells[1])) == set(":-")
  assert cells[2:] == [
    ["teacher", "-", "-", "0.8500", "0.900", "0.800", "-"],
    ["better", "5", "9,876", "0.7000", "0.900", "0.600", "0.600"],
    ["worse", "1,234", "-", "0.6000", "0.700", "0.600", "0.500"],
    ["none", "5", "-", "-", "-", "-", "-"],
  ]


def test_the_mean_leaves_out_what_is_not_defined():
  assert mean_auroc(_metrics(0.5, math.nan, 0.7)) == pytest.approx(0.6)
  assert math.isnan(mean_auroc(_metrics(None)))


def test_json_files_hold_null_for_nan(tmp_path):
  json_file.write(str(tmp_path / "a.json"), {"a": [math.nan, 1.5, {"b": math.inf}], "c": "x"})
  content = json.loads((tmp_path / "a.json").read_text())
  assert content == {"a": [None, 1.5, {"b": None}], "c": "x"}
  assert [path.name for path in tmp_path.iterdir()] == ["a.json"]

"""Tests of `heavy_ranker.evaluation.results_file`."""

import json

import numpy as np
import pytest

from heavy_ranker.evaluation.results_file import read_result, results_path, write_result
from tfrecords.errors import DataError, StorageError


def test_what_is_undefined_is_null_and_nothing_else_stays(tmp_path):
  path = results_path(str(tmp_path), 7)
  result = {"format_version": 1, "a": float("nan"), "b": [(1.5, float("inf"))], "c": {"d": 2}}
  write_result(result, path)
  assert path == str(tmp_path / "evaluation" / "step-7.json")
  assert read_result(path) == {"format_version": 1, "a": None, "b": [[1.5, None]], "c": {"d": 2}}
  assert [file.name for file in (tmp_path / "evaluation").iterdir()] == ["step-7.json"]


def test_a_result_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
  path = results_path(str(tmp_path), 7)
  write_result({"format_version": 1}, path)
  with pytest.raises(TypeError):
    write_result({"format_version": 1, "bad": np.zeros(3)}, path)
  assert read_result(path) == {"format_version": 1}
  (tmp_path / "file").write_text("")
  with pytest.raises(StorageError, match="cannot be written"):
    write_result({}, results_path(str(tmp_path / "file"), 7))


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"format_version": 99})])
def test_anything_else_is_refused(tmp_path, text):
  path = tmp_path / "step-1.json"
  path.write_text(text)
  with pytest.raises(DataError, match=r"step-1\.json: .*; evaluate again"):
    read_result(str(path))

"""Tests of `tfrecords.statistics_file` and `statistics_reader`: there, back, and wrong."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.column_statistics import ColumnStatistics
from tfrecords.errors import DataError, StorageError
from tfrecords.statistics_file import FORMATS, write_statistics
from tfrecords.statistics_reader import read_statistics

NAME = "cont.vals"
KEY = "analysis_path"


def make_statistics():
  random = np.random.default_rng(0)
  found = {NAME: ColumnStatistics(4), 'odd "name"': ColumnStatistics(1)}
  found[NAME].add(random.normal(size=(9, 4)) * [1, 100, 0, np.nan])
  found['odd "name"'].add(random.integers(0, 9, (9, 1)))
  return found


def read(path, file_format="json", feature=NAME):
  return read_statistics(str(path), feature, file_format, KEY)


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_is_written_is_read(tmp_path, file_format):
  statistics = make_statistics()
  write_statistics(str(tmp_path / "s"), statistics, file_format)
  for name, expected in statistics.items():
    found = read(tmp_path / "s", file_format, name)
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.std, expected.deviation)
  assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_the_document_holds_everything(tmp_path):
  write_statistics(str(tmp_path / "s.json"), make_statistics())
  content = json.loads((tmp_path / "s.json").read_text())
  assert content["transform"] == "sign(x) log(1 + |x|)"
  feature = content["features"][NAME]
  assert (feature["length"], feature["count"]) == (4, 9)
  assert feature["share_of_zeros"] == [0, 0, 1, 0]
  assert feature["share_of_non_finite"] == [0, 0, 0, 1]
  assert (feature["min"][2], feature["max"][2]) == (0, 0)
  assert (feature["min"][3], feature["max"][3]) == (None, None)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
  (tmp_path / "taken").mkdir()
  with pytest.raises(StorageError, match="taken: cannot be written.*--output_path=PATH"):
    write_statistics(str(tmp_path / "taken"), make_statistics())
  assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def row(index=0, mean=1.5, std=0.5, feature=NAME):
  return json.dumps({"feature": feature, "index": index, "mean": mean, "std": std, "more": 1})


def test_rows_come_in_any_order_with_other_features_and_quoted_indexes(tmp_path):
  lines = [row("1", 2.5), row(0, feature="other"), "", row(2, -1, 0), row("0")]
  (tmp_path / "s").write_text("\r\n".join(lines) + "\n")
  found = read(tmp_path / "s", "rows")
  assert found.mean.tolist() == [1.5, 2.5, -1.0] and found.std.tolist() == [0.5, 0.5, 0.0]


def document(mean=(1, 2), std=(1, 1), **more):
  return json.dumps({"features": {NAME: {"mean": mean, "std": std, **more}}})


@pytest.mark.parametrize(
  "file_format, text, message",
  [
    ("json", "", "s: no JSON"),
    ("json", "[" * 100_000, "s: no JSON"),
    ("json", row() + "\n" + row(1), "no JSON: .*; a file of rows needs use_bq_stats: true"),
    ("json", row(), 'no mapping under "features".*use_bq_stats: true'),
    ("json", "[]", 'no mapping under "features"'),
    ("json", '{"features": {"cont.val": {}}}', "'cont.vals' is missing, did you mean 'cont.val'?"),
    ("json", '{"features": {}}', "'cont.vals' is missing; found: nothing"),
    ("json", document(mean=[]), "'cont.vals': found .* under 'mean', allowed: a list"),
    ("json", document(std=None), "found None .* under 'std', allowed: a list"),
    ("json", document(std=[1]), "found 2 means, 1 stds and length None"),
    ("json", document(length=3), "found 2 means, 2 stds and length 3"),
    ("json", document(mean=[1, float("nan")]), "'cont.vals': column 1: found mean nan"),
    ("json", document(mean=["1", 2]), "column 0: found mean '1'"),
    ("json", document(mean=[True, 2]), "column 0: found mean True"),
    ("json", document(mean=[1, None]), "column 1: found mean None"),
    ("json", document(mean=[1, 10**400]), r"column 1: found mean 1000.*allowed: a number from -89"),
    ("json", document(std=[1, -0.5]), "column 1: found std -0.5 .*allowed: a number from 0 to 89"),
    ("json", document(std=[float("inf"), 1]), "column 0: found std inf"),
    ("rows", document(), "line 1: found .*, allowed: an object with feature, index, mean, std"),
    ("rows", "x", "line 1: no JSON: .*use_bq_stats: false"),
    ("rows", "", "'cont.vals' is missing; found: nothing"),
    ("rows", row(feature="cont_vals"), "is missing, did you mean 'cont_vals'"),
    ("rows", row(feature=["list"]), "is missing"),
    ("rows", row(0) + "\n" + row("0"), "line 2: feature 'cont.vals': column 0 is there twice"),
    ("rows", row(0) + "\n" + row(2), "column 1 is missing although column 2 is there"),
    ("rows", row(-1), "line 1: feature 'cont.vals': found index -1"),
    ("rows", row(0.0), "found index 0.0"),
    ("rows", row("٣"), "found index '٣'"),
    ("rows", row(True), "found index True"),
    ("rows", row(std=None), "column 0: found std None"),
    ("rows", row(mean=float("nan")), "column 0: found mean nan"),
  ],
)
def test_a_file_that_cannot_be_used(tmp_path, file_format, text, message):
  (tmp_path / "s").write_text(text)
  with pytest.raises(DataError, match=message) as error:
    read(tmp_path / "s", file_format)
  assert str(tmp_path / "s") in str(error.value)


def test_no_file_no_text_or_a_folder(tmp_path):
  (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
  for name in ("none", "binary", ""):
    with pytest.raises(DataError, match="analysis_path: .*//tfrecords:analyze"):
      read(tmp_path / name)


_JSON = st.recursive(
  st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
  lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["features", "mean", "std", "index", "feature", NAME]), inner)
  ),
  max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(content=_JSON, file_format=st.sampled_from(FORMATS))
def test_any_content_is_statistics_or_a_data_error(tmp_path_factory, content, file_format):
  path = tmp_path_factory.getbasetemp() / "any"
  path.write_text(json.dumps(content))
  try:
    found = read(path, file_format)
  except DataError:
    return
  assert np.isfinite(found.mean).all() and (found.std >= 0).all()

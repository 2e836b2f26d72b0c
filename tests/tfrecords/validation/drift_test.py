"""Tests of baselines and of `tfrecords.validation.drift`."""

import json
import math
import pathlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tfrecords.record_files import data_config, record, write_schema
from tests.tfrecords.validation.validated import kinds, validated, write_records
from tfrecords.analysis import analyze
from tfrecords.errors import ConfigError, DataError
from tfrecords.statistics_reader import read_statistics
from tfrecords.validation.baseline import read_baseline


def drawn(n, seed, shift=0.0, rate=0.3, **changes):
  random = np.random.default_rng(seed)
  return [
    record(
      1000 * seed + index,
      cont_vals=[*random.normal(size=2).tolist(), random.normal() + shift, 5.0, float(index % 2)],
      author__vector=random.normal(size=2).tolist(),
      binary_vals=[int(random.random() < 0.5), 1, 0],
      is_liked=[int(random.random() < rate)],
      is_replied=[int(random.random() < 0.1)],
      **changes,
    )
    for index in range(n)
  ]


@pytest.fixture(scope="module", name="base")
def base_fixture(tmp_path_factory):
  folder = tmp_path_factory.mktemp("base")
  write_records(folder, drawn(300, 1), drawn(300, 2))
  path = str(folder / "base.json")
  assert kinds(validated(folder, save_to=path)) == []
  return folder, path


def compared(tmp_path, base, *files, **checks):
  write_records(tmp_path, *files)
  drift = {"ignored_features": ["meta__author_id"], **checks}
  return validated(tmp_path, {"drift": drift}, read_baseline(base[1]))


def test_the_same_records_have_not_moved(base):
  found = validated(base[0], None, read_baseline(base[1]))
  assert kinds(found) == []
  assert max(column.times_bound for column in found.drift.columns) < 1e-6
  assert len(found.drift.columns) == 12, "neither labels nor the ids"


def test_the_same_bytes_whatever_the_threads_do(base, tmp_path):
  validated(base[0], save_to=str(tmp_path / "again.json"))
  with open(base[1], "rb") as file:
    assert (tmp_path / "again.json").read_bytes() == file.read()


def test_a_baseline_is_a_file_of_statistics(base):
  stored = read_statistics(base[1], "cont_vals", "json", "key")
  assert stored.std[3] == 0 and stored.mean[3] == pytest.approx(math.log(6))
  baseline = read_baseline(base[1])
  assert baseline.features["cont_vals"].count == baseline.features["cont_vals"].sampled == 600
  for shares in baseline.features["cont_vals"].shares:
    assert shares.sum() == pytest.approx(1)


def test_others_of_the_same_kind_are_within_chance(base, tmp_path):
  assert kinds(compared(tmp_path, base, drawn(500, 3))) == []


def test_the_column_that_has_moved_comes_first(base, tmp_path):
  found = compared(tmp_path, base, drawn(500, 3, shift=1.5))
  assert kinds(found) == [("warning", "drift", "cont_vals")]
  first, second = found.drift.columns[:2]
  assert (first.feature, first.column) == ("cont_vals", 2)
  assert first.stability_index > 0.5 and first.mean_shift > 0.5 and first.times_bound > 1
  assert second.times_bound < 1
  ratios = [column.times_bound for column in found.drift.columns]
  assert ratios == sorted(ratios, reverse=True)
  assert (
    kinds(compared(tmp_path, base, drawn(500, 3, shift=1.5), max_psi=50, max_mean_shift=9)) == []
  )


def test_a_constant_that_changes(base, tmp_path):
  changed = drawn(200, 4)
  for place, serialized in enumerate(drawn(200, 4)):
    changed[place] = serialized.replace(np.float32(5).tobytes(), np.float32(6).tobytes())
  first = compared(tmp_path, base, changed).drift.columns[0]
  assert (first.feature, first.column, first.mean_shift) == ("cont_vals", 3, math.inf)
  assert first.stability_index > 5


def test_labels_missing_features_and_non_finite_values(base, tmp_path):
  nan = [float("nan"), 0.0]
  rare = [record(i, author__vector=nan, spare=None, is_liked=[0]) for i in range(150)]
  write_records(tmp_path, drawn(150, 5, rate=0.1), rare)
  allowed = {"max_missing_share": 1, "max_non_finite_share": 1}
  found = validated(tmp_path, allowed, read_baseline(base[1]))
  assert {"spare", "is_liked", "author.vector"} <= {feature for _, _, feature in kinds(found)}
  shares = {(share.kind, share.name): share for share in found.drift.shares}
  assert (shares["missing", "spare"].before, shares["missing", "spare"].now) == (0, 0.5)
  assert shares["label", "is_liked"].now < 0.1 < shares["label", "is_liked"].before
  columns = {(column.feature, column.column): column for column in found.drift.columns}
  assert columns["author.vector", 0].non_finite_change == 0.5


def test_severity_and_features_to_ignore(base, tmp_path):
  write_records(tmp_path, drawn(500, 3, shift=1.5))
  baseline = read_baseline(base[1])
  assert kinds(validated(tmp_path, {"severity": {"drift": "ignore"}}, baseline)) == []
  error = validated(tmp_path, {"severity": {"drift": "error"}}, baseline)
  assert kinds(error) == [("error", "drift", "cont_vals")]
  ignored = {"drift": {"ignored_features": ["continuous", "meta.author_id"]}}
  assert kinds(validated(tmp_path, ignored, baseline)) == []
  with pytest.raises(
    ConfigError, match="ignored_features: found 'cont', which the schema does not"
  ):
    validated(tmp_path, {"drift": {"ignored_features": ["cont"]}}, baseline)


def test_a_file_of_analyze_is_compared_as_far_as_it_goes(base, tmp_path):
  path = analyze(data_config(base[0]), str(tmp_path / "statistics.json")).path
  write_records(tmp_path, drawn(500, 3, shift=1.5))
  found = validated(tmp_path, None, read_baseline(path))
  first = found.drift.columns[0]
  assert (first.feature, first.column) == ("cont_vals", 2) and math.isnan(first.stability_index)
  assert found.drift.not_compared == ("spare", "is_liked", "is_replied")


def edit(path, target, change):
  content = json.loads(pathlib.Path(path).read_text())
  change(content)
  target.write_text(json.dumps(content))
  return str(target)


@pytest.mark.parametrize(
  "change, message",
  [
    (lambda c: c.pop("transform"), "no statistics of records"),
    (lambda c: c.update(features=[]), "no statistics of records"),
    (lambda c: c["features"].update(spare=3), "feature 'spare': found 3"),
    (lambda c: c["features"]["spare"].update(mean=["x", 1]), "feature 'spare': mean: found"),
    (lambda c: c["features"]["spare"].update(std=[1.0]), "std: found .* allowed: 2 numbers"),
    (lambda c: c["features"]["spare"].update(std=[1.0, 10**400]), "std: found"),
    (lambda c: c["features"]["spare"].update(count=-1), "count: found -1"),
    (lambda c: c["features"]["spare"].update(edges=[[1]]), "edges: found no list a column"),
    (lambda c: c["features"]["spare"].update(edges=[[2, 1], []]), "edges of column 0: .*ascending"),
    (lambda c: c["features"]["spare"].update(shares=[[1], [1]]), "shares of column 0: found"),
    (lambda c: c["labels"].update(is_liked={"count": 1, "positives": 2}), "2 positives of 1"),
  ],
)
def test_baselines_that_cannot_be_used(base, tmp_path, change, message):
  path = edit(base[1], tmp_path / "bad.json", change)
  with pytest.raises(DataError, match=f"bad.json: .*{message}.*--save_statistics"):
    read_baseline(path)


def test_baselines_that_are_no_json_or_not_there(tmp_path):
  for content, message in ((b"{", "no JSON"), (b"\xff\xfe", "bad.json"), (b"3", "no statistics")):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
      read_baseline(str(tmp_path / "bad.json"))
  with pytest.raises(DataError, match="--compare_statistics: .*nowhere.json cannot be read"):
    read_baseline(str(tmp_path / "nowhere.json"))
  with pytest.raises(DataError, match="cannot be read"):
    read_baseline(str(tmp_path))


def test_a_baseline_of_another_schema(base, tmp_path):
  longer = json.loads((base[0] / "schema.json").read_text())["schema"]
  write_records(tmp_path, drawn(5, 3))
  other = [
    {**entry, "length": 3} if entry["feature_name"] == "spare" else entry for entry in longer
  ]
  write_schema(tmp_path, other)
  with pytest.raises(
    DataError, match="feature 'spare' has 2 columns, allowed: 3, as in the schema"
  ):
    validated(tmp_path, None, read_baseline(base[1]))
  write_schema(tmp_path, longer)
  renamed = edit(
    base[1], tmp_path / "x.json", lambda c: c.update(features={"x": c["features"]["spare"]})
  )
  with pytest.raises(DataError, match="none of its features is in the schema: found x; the schema"):
    validated(tmp_path, None, read_baseline(renamed))


json_values = st.recursive(
  st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
  lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
  ),
  max_leaves=5,
)


@given(data=st.data(), value=json_values)
@settings(
  max_examples=150,
  deadline=None,
  derandomize=True,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_baseline_changed_anywhere_is_read_or_refused(base, tmp_path, data, value):
  content = json.loads(pathlib.Path(base[1]).read_text())
  node, key = {"": content}, ""
  while data.draw(st.booleans()) and node[key] and isinstance(node[key], (dict, list)):
    node = node[key]
    key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
  node[key] = value
  (tmp_path / "changed.json").write_text(json.dumps(content if key else value))
  try:
    read_baseline(str(tmp_path / "changed.json"))
  except DataError as error:
    assert "changed.json" in str(error)

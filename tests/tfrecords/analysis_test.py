"""Tests of `tfrecords.analysis` and of what its report says."""

from pathlib import Path

import numpy as np
import pytest

from tests.tfrecords.record_files import data_config, record, write_schema, write_shard
from tfrecords.analysis import analyze, default_output_path
from tfrecords.analysis_report import describe
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.statistics_reader import read_statistics

NAN, INF = float("nan"), float("inf")
VALUES = [[NAN, 0.0, 5.0, 1e30, float(i)] for i in range(150)] + [[1.0, 1.0, 5.0, -INF, 1e38]] * 50


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
  folder = tmp_path / "data"
  folder.mkdir()
  records = [record(i, cont_vals=values, spare=None) for i, values in enumerate(VALUES)]
  write_shard(folder / "a.tfrecord", records[:130])
  write_shard(folder / "b.tfrecord", records[130:], "GZIP")
  write_schema(folder)
  return folder


def config_of(folder, **changes):
  return data_config(folder, schema={"features": ["spare", "user.topics", "user.lang"]}, **changes)


def test_statistics_of_every_dense_feature_by_its_name_in_the_record(folder):
  found = analyze(config_of(folder))
  assert (found.n_examples, found.n_shards) == (200, 2)
  assert sorted(found.statistics) == [
    "author.vector",
    "binary_vals",
    "cont_vals",
    "meta.author_id",
    "spare",
  ]
  values = np.array(VALUES, np.float32).astype(np.float64)
  logs = np.sign(values) * np.log1p(np.abs(values))
  logs[~np.isfinite(values)] = 0
  stored = read_statistics(found.path, "cont_vals", "json", "key")
  np.testing.assert_allclose(stored.mean, logs.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(stored.std, logs.std(axis=0), rtol=1e-12, atol=1e-15)
  assert found.statistics["cont_vals"].share_of_non_finite.tolist() == [0.75, 0, 0, 0.25, 0]
  assert found.statistics["spare"].share_of_zeros.tolist() == [1, 1], "absent reads as 0"


def test_same_records_same_bytes_whatever_trains_on_them(folder):
  first = Path(analyze(config_of(folder)).path).read_bytes()
  section = {"truncate_and_slice": {"continuous_feature_truncation": 2}}
  other = config_of(folder, global_batch_size=7, preprocess=section)
  assert Path(analyze(other, overwrite=True).path).read_bytes() == first


def test_masked_mantissas_are_as_the_model_sees_them(folder):
  config = data_config(folder, schema={"mask_mantissa_features": {"continuous": 23}})
  assert analyze(config).statistics["cont_vals"].maximum[2] == 4.0


def test_max_examples_takes_the_first(folder):
  found = analyze(config_of(folder), max_examples=140)
  assert found.n_examples == 140
  assert found.statistics["meta.author_id"].maximum.tolist() == [139]
  assert analyze(config_of(folder), max_examples=999, overwrite=True).n_examples == 200


def test_an_existing_file_is_replaced_only_if_asked(folder, tmp_path):
  target = tmp_path / "mine.json"
  target.write_text("precious")
  with pytest.raises(StorageError, match="mine.json: already there.*--overwrite"):
    analyze(config_of(folder), str(target))
  assert target.read_text() == "precious"
  assert analyze(config_of(folder), str(target), overwrite=True).path == str(target)


@pytest.mark.parametrize("name", ["a.tfrecord", "new.tfrecord"])
def test_records_are_never_overwritten_nor_joined(folder, name):
  before = {path.name: path.read_bytes() for path in folder.iterdir()}
  with pytest.raises(ConfigError, match=f"--output_path: .*{name} would be read as records"):
    analyze(config_of(folder), str(folder / name), overwrite=True)
  assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
  assert analyze(config_of(folder), str(folder / "new.json")).n_examples == 200


@pytest.mark.parametrize(
  "inputs, expected",
  [
    ("/a/b/*.gz", "/a/b.statistics.json"),
    ("/a/b/part-0.gz", "/a/b.statistics.json"),
    ("/a/b/*/x?/*.gz", "/a/b.statistics.json"),
    ("gs://bucket/a/*.gz", "gs://bucket/a.statistics.json"),
    ("/*.gz", None),
    ("gs://bucket/*.gz", None),
  ],
)
def test_the_default_lies_beside_the_folder_of_the_records(folder, inputs, expected):
  config = config_of(folder, inputs=inputs)
  if expected is None:
    with pytest.raises(ConfigError, match="train_data.inputs: .*--output_path=PATH"):
      default_output_path(config)
  else:
    assert default_output_path(config) == expected
    assert default_output_path(config, "rows") == expected + "l"


def test_the_default_of_dated_folders(folder):
  ranges = {"data_root": "/a/b/", "end_date": "2023/02/01", "days": 1}
  config = config_of(folder, inputs=None, explicit_date_inputs=ranges)
  assert default_output_path(config) == "/a/b.statistics.json"


def test_records_that_cannot_be_read_are_named(folder, tmp_path):
  write_shard(folder / "c.tfrecord", [record(0), record(1, cont_vals=[1.0])])
  with pytest.raises(DataError, match="c.tfrecord: record 1: feature 'cont_vals' holds 1 value"):
    analyze(config_of(folder))
  assert not list(tmp_path.glob("*statistics*"))


def test_arguments_that_cannot_be_used(folder):
  with pytest.raises(ConfigError, match="--max_examples: found 0"):
    analyze(config_of(folder), max_examples=0)
  with pytest.raises(ConfigError, match="--format: found 'csv', allowed: json, rows"):
    analyze(config_of(folder), file_format="csv")
  with pytest.raises(StorageError, match="is a folder, allowed: a file"):
    analyze(config_of(folder), str(folder))
  only_text = {"features": ["user.lang", "user.topics"], "renamed_features": {}}
  with pytest.raises(ConfigError, match="no numeric feature of fixed length"):
    analyze(data_config(folder, schema=only_text))


def test_the_report_shows_the_oddest_columns_and_the_lines_to_paste(folder):
  found = analyze(config_of(folder), file_format="rows")
  report = describe(found, "--config_path=x.yaml").splitlines()
  assert report[0] == f"200 examples of 2 file(s), 5 feature(s), 13 columns: {found.path}"
  kinds = {line[2:26].strip(): line[26:].split(None, 1) for line in report[2:6]}
  assert kinds["constant"] == ["5", "cont_vals[2], binary_vals[1], binary_vals[2]"]
  assert kinds["over 99% zero"] == ["0"]
  assert kinds["NaN or infinite values"] == ["2", "cont_vals[0] (75.000%), cont_vals[3] (25.000%)"]
  assert "        use_bq_stats: true" in report
  assert f'        analysis_path: "{found.path}"' in report
  assert report[-1].endswith("heavy_ranker.train --config_path=x.yaml")


def test_the_report_names_rare_and_far_values(folder):
  far = [[0.0] * 5] * 199 + [[1e20, 0.0, 0.0, 0.0, 0.0]]
  for name, part in (("a", far[:100]), ("b", far[100:])):
    write_shard(folder / f"{name}.tfrecord", [record(0, cont_vals=values) for values in part])
  report = describe(analyze(config_of(folder)), "")
  assert "over 99% zero                 1  cont_vals[0] (99.500%)" in report
  assert "beyond 10 std of the log      1  cont_vals[0] (14.1 std)" in report

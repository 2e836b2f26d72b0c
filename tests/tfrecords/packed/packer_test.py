"""Tests of `tfrecords.packed.packer`: what is written, and how it goes on after an interruption."""

import json

import pytest

from tests.tfrecords import record_files
from tests.tfrecords.packed.packed_files import (
  assert_same_batches,
  packed_config,
  read,
  source_config,
  write_packed,
  write_records,
)
from tests.tfrecords.record_files import record
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.packed import layout
from tfrecords.packed.packer import Options, pack

BAZEL_SIZE = "medium"


def _bytes(folder):
  return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_written(tmp_path):
  write_records(tmp_path)
  packed = write_packed(tmp_path, options={"compression": "fast"})
  content = json.loads((tmp_path / "packed" / "packed.json").read_text())
  assert sorted(path.name for path in (tmp_path / "packed").iterdir()) == [
    "packed.json",
    *(f"part-0000{number}-of-00003.tfrecord" for number in range(3)),
  ]
  assert (content["format"], content["version"], content["examples"]) == ("packed records", 2, 15)
  assert [shard["examples"] for shard in content["shards"]] == [5, 4, 6]
  assert content["sources"] == [f"part-{number}.tfrecord" for number in range(3)]
  assert content["labels"] == ["is_liked", "is_replied"]
  arrays = {array["name"]: array for array in content["arrays"]}
  assert arrays["feature/continuous"]["width"] == 5
  assert arrays["feature/continuous"]["recipe"]["columns"] == "0-4"
  assert arrays["feature/meta__author_id"]["dtype"] == "int64"
  assert packed.n_bytes == sum(shard["size"] for shard in content["shards"])


def test_the_same_bytes_each_time(tmp_path):
  write_records(tmp_path)
  for name in ("once", "again"):
    write_packed(tmp_path, name=name, options={"compression": "small"})
  assert _bytes(tmp_path / "once") == _bytes(tmp_path / "again")


def test_fewer_shards_hold_the_same_examples(tmp_path):
  write_records(tmp_path)
  write_packed(tmp_path, options={"num_shards": 2})
  assert len(list((tmp_path / "packed").glob("*.tfrecord"))) == 2
  expected = read(source_config(tmp_path), "evaluate")
  assert_same_batches(read(packed_config(tmp_path), "evaluate"), expected)


def test_packing_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
  write_records(tmp_path)
  write_packed(tmp_path, name="whole")
  encode, calls = layout.encode, []

  def interrupted(*arguments):
    calls.append(1)
    if len(calls) > 4:
      raise KeyboardInterrupt
    return encode(*arguments)

  monkeypatch.setattr("os.cpu_count", lambda: 1)
  monkeypatch.setattr(layout, "encode", interrupted)
  with pytest.raises(KeyboardInterrupt):
    write_packed(tmp_path)
  left = sorted(path.name for path in (tmp_path / "packed").glob("[!.]*"))
  assert left == ["part-00000-of-00003.tfrecord", "part-00001-of-00003.tfrecord"]
  with pytest.raises(DataError, match="packed.json: the file is missing"):
    read(packed_config(tmp_path), "evaluate")
  with pytest.raises(StorageError, match="an unfinished pack of other records or other settings"):
    write_packed(tmp_path, options={"compression": "small"})

  monkeypatch.setattr(layout, "encode", lambda *given: calls.append(2) or encode(*given))
  write_packed(tmp_path)
  assert calls.count(2) == 2  # The last shard's six examples alone.
  assert _bytes(tmp_path / "packed") == _bytes(tmp_path / "whole")


@pytest.mark.parametrize("beginning", ["packed", "foreign"])
def test_a_folder_that_holds_something(tmp_path, beginning):
  write_records(tmp_path)
  if beginning == "packed":
    write_packed(tmp_path)
  else:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "notes.txt").write_text("mine")
  before = _bytes(tmp_path / "packed")
  with pytest.raises(StorageError, match=r"already holds .*Remove it, or write elsewhere with"):
    write_packed(tmp_path)
  assert _bytes(tmp_path / "packed") == before


@pytest.mark.parametrize(
  "options, message",
  [
    ({"num_shards": 0}, "--num_shards: found 0, allowed: 1 to 3"),
    ({"num_shards": 4}, "--num_shards: found 4, allowed: 1 to 3"),
    ({"feature_dtype": "int8"}, "--feature_dtype: found 'int8', allowed: float32, bfloat16"),
    ({"compression": "best"}, "--compression: found 'best', allowed: none, fast, small"),
    ({"examples_per_record": 0}, "--examples_per_record: found 0, allowed: 1 to 4096"),
    ({"features": ["continous"]}, "'continous' is needed and missing, did you mean 'continuous'"),
  ],
)
def test_arguments_that_cannot_be_used(tmp_path, options, message):
  write_records(tmp_path)
  with pytest.raises(ConfigError, match=message):
    write_packed(tmp_path, options=options)
  assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize("feature", ["user.topics", "user.lang"])
def test_features_that_cannot_be_packed(tmp_path, feature):
  write_records(tmp_path)
  with pytest.raises(ConfigError, match=f"'{feature}' is .*allowed for packing: numbers"):
    write_packed(tmp_path, {"features": [feature]})
  write_packed(tmp_path, {"features": [feature]}, options={"features": ["continuous"]})


def test_packed_records_cannot_be_packed(tmp_path):
  write_records(tmp_path)
  write_packed(tmp_path)
  with pytest.raises(ConfigError, match=r"train_data.packed: found true"):
    pack(packed_config(tmp_path), str(tmp_path / "twice"))
  with pytest.raises(DataError, match="holds packed records"):
    pack(packed_config(tmp_path, packed=False), str(tmp_path / "twice"), Options())


def test_bad_records_end_packing_by_name_or_are_left_out(tmp_path):
  write_records(tmp_path, [3])
  bad = [record(0), record(1, cont_vals=[1.0]), record(2)]
  path = record_files.write_shard(tmp_path / "records" / "part-1.tfrecord", bad)
  with pytest.raises(DataError, match=r"part-1.tfrecord: record 1: .*'cont_vals' holds 1 value"):
    write_packed(tmp_path)
  # The other shard stays: once the records are mended, packing goes on.
  packed = write_packed(tmp_path, name="others", ignore_data_errors=True)
  assert "1 bad record(s) left out" in packed.skipped
  record_files.write_shard(path, [record(0), record(2)])
  # Positions of the records count, so that a sampler keeps the same ones: compare without.
  expected = read(source_config(tmp_path), "evaluate")
  assert_same_batches(read(packed_config(tmp_path, name="others"), "evaluate"), expected)


def test_a_damaged_file_ends_packing_by_name(tmp_path):
  write_records(tmp_path)
  path = tmp_path / "records" / "part-1.tfrecord"
  path.write_bytes(path.read_bytes()[:-3])
  with pytest.raises(DataError, match=r"part-1.tfrecord: .*cut short or damaged"):
    write_packed(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
  write_records(tmp_path)
  (tmp_path / "file").write_text("")
  with pytest.raises(StorageError, match="--output_dir: .*cannot be written"):
    write_packed(tmp_path, name="file/packed")

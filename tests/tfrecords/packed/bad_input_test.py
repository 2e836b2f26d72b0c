"""Packed records that cannot be read, or are not what a configuration asks for."""

import json
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.packed.packed_files import (
  packed_config,
  read,
  write_packed,
  write_records,
)
from tests.tfrecords.record_files import record
from tfrecords.analysis import analyze
from tfrecords.errors import ConfigError, DataError, UserError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.packed import column_codes
from tfrecords.recorded_probabilities import probability_features

BAZEL_SIZE = "medium"


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
  write_records(tmp_path)
  write_packed(tmp_path)
  return tmp_path


def _complaint(kind, config, mode="evaluate", **arguments):
  with pytest.raises(kind) as caught:
    read(config, mode, **arguments)
  return str(caught.value)


def _change_manifest(folder, **changes):
  path = folder / "packed" / "packed.json"
  path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _shard(folder, number=1):
  return folder / "packed" / f"part-0000{number}-of-00003.tfrecord"


# The manifest.


@pytest.mark.parametrize(
  "content, message",
  [
    (None, "the file is missing.*Pack the records with //tfrecords:pack"),
    ("{", "is no JSON"),
    ("[1]", "found .*allowed: a mapping"),
    ("{}", "format: found nothing"),
    ('{"format": "packed records", "version": 1}', "found version 1 of the layout, allowed: 2"),
    ('{"format": "something", "version": 2}', "format: found 'something'"),
  ],
)
def test_a_manifest_that_cannot_be_used(folder, content, message):
  path = folder / "packed" / "packed.json"
  path.unlink() if content is None else path.write_text(content)
  with pytest.raises(DataError, match=message):
    read(packed_config(folder), "evaluate")


@pytest.mark.parametrize("mistake", ["labels", "planes", "source", "rows"])
def test_a_manifest_that_contradicts_itself(folder, mistake):
  arrays = json.loads((folder / "packed" / "packed.json").read_text())["arrays"]
  if mistake == "labels":
    _change_manifest(folder, labels=["is_liked"])
  elif mistake == "planes":
    _change_manifest(folder, arrays=[{**arrays[0], "layout": "planes"}, *arrays[1:]])
  elif mistake == "source":
    _change_manifest(folder, arrays=[each for each in arrays if each["name"] != "source"])
  else:
    _change_manifest(folder, rows=0)
  assert "packed.json" in _complaint(DataError, packed_config(folder))


# The files.


def test_a_file_that_is_cut_short(folder):
  _shard(folder).write_bytes(_shard(folder).read_bytes()[:-9])
  message = _complaint(DataError, packed_config(folder))
  assert "part-00001" in message and "cut short" in message and "pack again" in message


def test_a_file_with_a_flipped_bit(folder):
  content = _shard(folder).read_bytes()
  _shard(folder).write_bytes(record_files.flip(content, len(content) // 2))
  message = _complaint(DataError, packed_config(folder))
  assert "part-00001-of-00003.tfrecord: record 0: the file is cut short or damaged" in message


def test_a_foreign_file(folder):
  record_files.write_shard(folder / "packed" / "other.tfrecord", [record()])
  message = _complaint(DataError, packed_config(folder))
  assert "other.tfrecord: is none of the packed files" in message


@pytest.mark.parametrize("content", [record(3), b"\xff\xfe no Example"])
def test_foreign_records_in_a_file_of_the_right_size(folder, content):
  path = record_files.write_shard(_shard(folder), [content])
  shards = json.loads((folder / "packed" / "packed.json").read_text())["shards"]
  shards[1]["size"] = path.stat().st_size
  _change_manifest(folder, shards=shards)
  message = _complaint(DataError, packed_config(folder))
  assert "part-00001-of-00003.tfrecord: record 0: is no packed record of this folder" in message


def _change_string(folder, array, name, content):
  """Gives an array of the second record of a shard another string."""
  records = list(tf.data.TFRecordDataset(str(_shard(folder))).as_numpy_iterator())
  example = tf.train.Example.FromString(records[1])
  strings = example.features.feature[array].bytes_list.value
  strings[column_codes.string_names(4).index(name)] = content
  path = record_files.write_shard(_shard(folder), [records[0], example.SerializeToString()])
  shards = json.loads((folder / "packed" / "packed.json").read_text())["shards"]
  shards[1]["size"] = path.stat().st_size
  _change_manifest(folder, shards=shards)


@pytest.mark.parametrize(
  "name, content",
  [
    ("codes", zlib.compress(bytes([77] * 5))),
    ("codes", zlib.compress(bytes(4))),
    ("codes", b"no zlib"),
    ("bases", bytes(3)),
    ("divisors", zlib.compress(bytes(400))[:-7]),
    ("exception_places", np.int32([1 << 30]).tobytes()),
    ("exceptions", bytes(400)),
    ("segment_of_rows", zlib.compress(b"")),
    ("segment_of_rows", zlib.compress(np.int32([5, -9, 1 << 30]).tobytes())),
    ("raw", bytes(7)),
    ("nibbles", bytes(1)),
    ("highest_plane", zlib.compress(bytes(9))),
  ],
)
def test_strings_that_fit_no_columns(folder, name, content):
  _change_string(folder, "feature/continuous", name, content)
  message = _complaint(DataError, packed_config(folder))
  assert "part-00001-of-00003.tfrecord: record 1: is no packed record of this folder" in message


def test_a_file_that_vanishes_while_it_is_read(folder):
  pipeline = InputPipeline(packed_config(folder), "evaluate")
  _shard(folder).unlink()
  with pytest.raises(DataError, match="the file has vanished"), pipeline.explained():
    list(pipeline.dataset)


def test_folders_that_were_packed_otherwise(folder):
  write_packed(folder, name="packed-2", options={"feature_dtype": "bfloat16"})
  message = _complaint(DataError, packed_config(folder, name="packed*"))
  assert "was packed otherwise than" in message and "packed-2" in message


def test_a_batch_larger_than_the_data(folder):
  message = _complaint(DataError, packed_config(folder, global_batch_size=16), "train")
  assert "global_batch_size: found 16, allowed: at most 15" in message


def test_a_label_that_cannot_be_used_is_named_by_its_record(tmp_path):
  (tmp_path / "records").mkdir()
  bad = [record(0), record(1, is_liked=None)]
  record_files.write_shard(tmp_path / "records" / "part-0.tfrecord", bad)
  write_packed(tmp_path)
  message = _complaint(DataError, packed_config(tmp_path))
  assert "the example packed from part-0.tfrecord: record 1: " in message
  assert "is_liked" in message and "missing_labels=zero" in message


# What the configuration asks for.


@pytest.mark.parametrize(
  "schema, changes, message",
  [
    (
      {},
      {"preprocess": {"truncate_and_slice": {"continuous_feature_truncation": 3}}},
      '\'continuous\': columns is "0-4" in the packed records and "0-2" in the configuration',
    ),
    (
      {"mask_mantissa_features": {"continuous": 4}},
      {},
      "'continuous': masked_mantissa_bits is 0 in the packed records and 4",
    ),
    (
      {},
      {"preprocess": {"downcast": {"features": {"binary": "bool"}}}},
      "'binary': downcast is null in the packed records and \"bool\"",
    ),
    (
      {"renamed_features": {**record_files.RENAMED, "author_embedding": "spare"}},
      {},
      '\'author_embedding\': record_name is "author.vector" in the packed records and "spare"',
    ),
    (
      {"renamed_features": {**record_files.RENAMED, "other": "spare"}},
      {},
      "'other' is needed and was not packed.*--features",
    ),
    ({}, {"cache": True}, "cache: found true together with train_data.packed"),
    ({}, {"ignore_data_errors": True}, "ignore_data_errors: found true together with"),
  ],
)
def test_a_configuration_that_asks_for_something_else(folder, schema, changes, message):
  with pytest.raises(ConfigError, match=message):
    read(packed_config(folder, schema, **changes), "evaluate")


def test_a_label_that_was_not_packed(folder):
  tasks = {**record_files.TASKS, "spare_label": {}}
  entries = [*record_files.SCHEMA]
  entries.append({"feature_name": "spare_label", "dtype": "int64_list", "length": 1})
  record_files.write_schema(folder, entries)
  message = _complaint(ConfigError, packed_config(folder, tasks=tasks))
  assert "the label 'spare_label' is needed and was not packed" in message
  assert read(packed_config(folder, tasks=tasks), "evaluate", tasks=["is_liked"])


def test_rectification_that_was_not_packed(folder):
  rectify = {
    "served_timestamp_field": "meta__author_id",
    "impressed_timestamp_field": "meta__author_id",
    "label_to_engaged_timestamp_field": {"is_liked": "meta__author_id"},
  }
  config = packed_config(folder, preprocess={"rectify_labels": rectify})
  assert "'is_liked': rectified is null in the packed records" in _complaint(ConfigError, config)


def test_probabilities_that_were_not_packed(folder):
  recorded = probability_features("p.", ["is_liked"])
  message = _complaint(ConfigError, packed_config(folder), probabilities=recorded)
  assert "'p.is_liked' is needed and was not packed" in message
  assert "--probability_prefix" in message


# Where records are expected that are not packed.


def test_packed_records_are_not_taken_for_others(folder):
  config = packed_config(folder, packed=False)
  for mode in ("train", "evaluate", "predict"):
    assert "--set train_data.packed=true" in _complaint(DataError, config, mode)


@pytest.mark.parametrize("packed", [True, False])
def test_packed_records_cannot_be_analyzed(folder, packed):
  with pytest.raises(UserError, match="packed"):
    analyze(packed_config(folder, packed=packed), str(folder / "statistics.json"))


def test_records_are_not_taken_for_packed_ones(folder):
  inputs = str(folder / "records" / "*.tfrecord")
  message = _complaint(DataError, packed_config(folder, inputs=inputs))
  assert "records/packed.json: the file is missing" in message
  assert "--set train_data.packed=false" in message


def test_the_manifest_is_no_record_file(folder):
  config = packed_config(folder, inputs=str(folder / "packed" / "*"))
  (batch, *_) = read(config, "evaluate")
  assert isinstance(batch[0]["continuous"], tf.Tensor)

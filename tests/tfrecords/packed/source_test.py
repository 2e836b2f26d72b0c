"""Tests of `tfrecords.packed.source`: packed records give the batches that records give."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.packed.packed_files import (
  assert_same_batches,
  packed_config,
  read,
  source_config,
  write_packed,
  write_records,
)
from tests.tfrecords.record_files import author_ids, record
from tfrecords.input_pipeline import InputPipeline

BAZEL_SIZE = "medium"


@pytest.mark.parametrize("mode", ["train", "evaluate", "predict"])
@pytest.mark.parametrize("compression", ["none", "fast", "small"])
def test_the_same_batches(tmp_path, mode, compression):
  write_records(tmp_path)
  write_packed(tmp_path, options={"compression": compression})
  options = {"examples_shuffle_buffer_size": 5, "interleave_num_parallel_calls": 2}
  expected = read(source_config(tmp_path, **options), mode)
  assert_same_batches(read(packed_config(tmp_path, **options), mode), expected)


def _mask(folder):
  np.save(folder / "mask.npy", np.array([1, 0, 1, 1]))
  return str(folder / "mask.npy")


PREPROCESSING = {
  "slice": lambda folder: {
    "truncate_and_slice": {
      "continuous_feature_truncation": 4,
      "continuous_feature_mask_path": _mask(folder),
      "binary_feature_truncation": 2,
    }
  },
  "downcast": lambda _: {
    "downcast": {"features": {"continuous": "bfloat16", "meta__author_id": "int32"}}
  },
  "extract": lambda _: {
    "extract_features": {
      "extract_feature_table": [
        {"name": "first", "source_tensor": "continuous", "index": 1},
        {"name": "bit", "source_tensor": "binary", "index": -1},
      ]
    }
  },
  "downsample": lambda _: {
    "downsample_negatives": {
      "batch_multiplier": 2,
      "engagements_list": ["is_liked"],
      "num_engagements": 1,
    }
  },
}


@pytest.mark.parametrize("step", PREPROCESSING)
def test_preprocessing_is_fixed_when_packing_and_the_same(tmp_path, step):
  write_records(tmp_path)
  changes = {"preprocess": PREPROCESSING[step](tmp_path), "global_batch_size": 2}
  schema = {"mask_mantissa_features": {"continuous": 20}}
  write_packed(tmp_path, schema, **changes)
  for mode in ("train", "evaluate"):
    expected = read(source_config(tmp_path, schema, **changes), mode, 6)
    assert_same_batches(read(packed_config(tmp_path, schema, **changes), mode, 6), expected)


SAMPLERS = [
  {"name": "share", "kwargs": {"rate": 0.5}},
  {"name": "negatives", "kwargs": {"rate": 0.2, "engagements_list": ["is_replied"]}},
]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_keeps_the_same_examples(tmp_path, sampler):
  write_records(tmp_path)
  write_packed(tmp_path, sampler=sampler)  # Packs everything, nevertheless.
  for mode in ("train", "evaluate"):
    options = {"sampler": sampler, "global_batch_size": 3}
    expected = read(source_config(tmp_path, **options), mode)
    assert_same_batches(read(packed_config(tmp_path, **options), mode), expected)
  assert sum(map(len, author_ids(read(packed_config(tmp_path), "evaluate")))) == 15


def test_rectified_labels_downsampled_by_those_that_were_read(tmp_path):
  entries = [*record_files.SCHEMA]
  times = ["served", "seen", "liked"]
  entries += [{"feature_name": name, "dtype": "int64_list", "length": 1} for name in times]
  schema = {"features": times, "schema_path": str(record_files.write_schema(tmp_path, entries))}
  hour = 3600 * 1000
  records = [
    record(index, is_liked=[1], served=[0], seen=[0], liked=[index * hour // 2])
    for index in range(12)
  ]
  (tmp_path / "records").mkdir()
  record_files.write_shard(tmp_path / "records" / "part-0.tfrecord", records)
  rectify = {
    "label_rectification_window_in_hours": 3.0,
    "served_timestamp_field": "served",
    "impressed_timestamp_field": "seen",
    "label_to_engaged_timestamp_field": {"is_liked": "liked"},
  }
  changes = {
    "global_batch_size": 2,
    "preprocess": {"rectify_labels": rectify, **PREPROCESSING["downsample"](tmp_path)},
  }
  options = {"features": ["continuous", "meta__author_id"]}
  write_packed(tmp_path, schema, options=options, **changes)
  for mode in ("train", "evaluate"):
    arguments = {"features": ["meta__author_id"], "tasks": ["is_liked"]}
    expected = read(source_config(tmp_path, schema, **changes), mode, 6, **arguments)
    found = read(packed_config(tmp_path, schema, **changes), mode, 6, **arguments)
    assert_same_batches(found, expected)
  assert {0.0, 1.0} == {value for batch in found for value in batch[1]["is_liked"].numpy()}


def test_missing_labels_are_packed_as_missing(tmp_path):
  (tmp_path / "records").mkdir()
  records = [record(0), record(1, is_liked=None), record(2)]
  record_files.write_shard(tmp_path / "records" / "part-0.tfrecord", records)
  write_packed(tmp_path)
  found = read(packed_config(tmp_path, missing_labels="zero"), "evaluate")
  assert_same_batches(found, read(source_config(tmp_path, missing_labels="zero"), "evaluate"))
  assert_same_batches(
    read(packed_config(tmp_path), "evaluate", tasks=["is_replied"]),
    read(source_config(tmp_path), "evaluate", tasks=["is_replied"]),
  )


def test_numbers_that_are_none_pass_unharmed(tmp_path):
  (tmp_path / "records").mkdir()
  odd = [float("nan"), float("inf"), -0.0, 1e-42, 3.4e38]
  record_files.write_shard(tmp_path / "records" / "part-0.tfrecord", [record(0, cont_vals=odd)])
  write_packed(tmp_path, options={"compression": "small"})
  ((features, _, _),) = read(packed_config(tmp_path), "evaluate")
  np.testing.assert_array_equal(
    features["continuous"].numpy().view(np.uint32), np.float32([odd]).view(np.uint32)
  )


@pytest.mark.parametrize("compression", ["none", "small"])
def test_bfloat16_rounds_floats_alone(tmp_path, compression):
  write_records(tmp_path)
  write_packed(tmp_path, options={"feature_dtype": "bfloat16", "compression": compression})
  found, expected = (
    read(config, "evaluate", features=["continuous", "meta__author_id"])
    for config in (packed_config(tmp_path), source_config(tmp_path))
  )
  for features, _, _ in expected:
    rounded = tf.cast(features["continuous"], tf.bfloat16)
    features["continuous"] = tf.cast(rounded, tf.float32)
  assert_same_batches(found, expected)


def test_recorded_probabilities(tmp_path):
  tasks = ["is_liked", "is_replied"]
  records = [record(i, **{f"p__{task}": [i / 7] for task in tasks}) for i in range(5)]
  (tmp_path / "records").mkdir()
  record_files.write_shard(tmp_path / "records" / "part-0.tfrecord", records)
  write_packed(tmp_path, options={"probability_prefix": "p.", "feature_dtype": "bfloat16"})
  from tfrecords.recorded_probabilities import probability_features

  recorded = probability_features("p.", tasks)
  arguments = {"features": ["meta__author_id"], "probabilities": recorded}
  expected = read(source_config(tmp_path), "evaluate", **arguments)
  assert_same_batches(read(packed_config(tmp_path), "evaluate", **arguments), expected)


def test_several_folders(tmp_path):
  write_records(tmp_path)
  write_packed(tmp_path, name="packed-1", options={"num_shards": 1})
  write_packed(tmp_path, name="packed-2", num_files_to_keep=2)
  sampler = {"name": "share", "kwargs": {"rate": 0.5}}
  once = author_ids(read(packed_config(tmp_path, name="packed-1", sampler=sampler), "evaluate"))
  both = author_ids(read(packed_config(tmp_path, name="packed-*", sampler=sampler), "evaluate"))
  flat = [index for batch in both for index in batch]
  assert (
    flat
    == [index for batch in once for index in batch]
    + [i for i in flat if i < 9][: len(flat) - sum(map(len, once))]
  )


@pytest.mark.parametrize("buffer", [0, 6])
def test_reading_continues_from_a_checkpoint(tmp_path, buffer):
  write_records(tmp_path)
  write_packed(tmp_path, options={"compression": "fast"})
  config = packed_config(tmp_path, examples_shuffle_buffer_size=buffer)
  uninterrupted = author_ids(InputPipeline(config, "train").dataset.take(20))

  iterator = iter(InputPipeline(config, "train").dataset)
  checkpoint, stops = tf.train.Checkpoint(iterator=iterator), {}
  for position in range(10):
    if position in (0, 1, 4, 9):
      stops[position] = checkpoint.save(str(tmp_path / "checkpoint"))
    assert author_ids([next(iterator)]) == [uninterrupted[position]]
  for position, path in stops.items():
    resumed = iter(InputPipeline(config, "train").dataset)
    tf.train.Checkpoint(iterator=resumed).restore(path).expect_partial()
    assert author_ids(itertools.islice(resumed, 20 - position)) == uninterrupted[position:]

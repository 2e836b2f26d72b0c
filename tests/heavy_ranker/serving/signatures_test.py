"""Tests of `heavy_ranker.serving.signatures`: records meet the preprocessing of training."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from heavy_ranker.serving.signatures import make_raw_parser
from tests.tfrecords import record_files
from tests.tfrecords.record_files import record
from tfrecords.errors import ConfigError
from tfrecords.input_pipeline import InputPipeline

PREPROCESS = {
  "truncate_and_slice": {"continuous_feature_truncation": 4, "binary_feature_truncation": 2},
  "downcast": {"features": {"continuous": "bfloat16", "binary": "bool"}},
  "rectify_labels": {
    "served_timestamp_field": "meta__author_id",
    "impressed_timestamp_field": "meta__author_id",
    "label_to_engaged_timestamp_field": {"is_liked": "meta__author_id"},
  },
  "extract_features": {
    "extract_feature_table": [{"name": "position", "source_tensor": "continuous", "index": 3}]
  },
}
INPUTS = ("continuous", "binary", "position", "author_embedding")


def make_config(folder):
  return record_files.data_config(
    folder,
    {"mask_mantissa_features": {"author_embedding": 22}},
    preprocess=PREPROCESS,
    global_batch_size=8,
  )


def test_the_export_sees_what_training_saw(tmp_path):
  records = [record(index, cont_vals=[index + 1 / 3] * 5) for index in range(6)]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  config = make_config(tmp_path)
  ((expected, _, _),) = InputPipeline(config, "evaluate", INPUTS).dataset
  parse = tf.function(make_raw_parser(SimpleNamespace(train_data=config), INPUTS))
  unlabelled = [record(index, cont_vals=[index + 1 / 3] * 5, is_liked=None) for index in range(6)]
  found = parse(tf.constant(unlabelled))
  assert set(found) == set(expected) == set(INPUTS)
  for name, tensor in found.items():
    assert tensor.dtype == expected[name].dtype == tf.float32
    assert tensor.numpy().tobytes() == expected[name].numpy().tobytes()
  assert found["position"].shape == (6, 1)
  assert found["author_embedding"].numpy()[3].tolist() == [3, -3]
  assert found["author_embedding"].numpy()[5].tolist() == [4, -4]


def test_the_source_of_an_extracted_feature_need_not_be_an_input(tmp_path):
  parse = make_raw_parser(SimpleNamespace(train_data=make_config(tmp_path)), ("position",))
  found = parse(tf.constant([record(2)]))
  assert {name: tensor.numpy().tolist() for name, tensor in found.items()} == {"position": [[2.75]]}


def test_no_record_at_all(tmp_path):
  parse = make_raw_parser(SimpleNamespace(train_data=make_config(tmp_path)), INPUTS)
  assert {
    name: tensor.shape.as_list() for name, tensor in parse(tf.constant([], tf.string)).items()
  } == {
    "continuous": [0, 4],
    "binary": [0, 2],
    "position": [0, 1],
    "author_embedding": [0, 2],
  }


def test_preprocessing_that_does_not_fit_the_records(tmp_path):
  section = {"downcast": {"features": {"nothing": "bool"}}}
  config = record_files.data_config(tmp_path, preprocess=section)
  with pytest.raises(ConfigError, match="train_data.preprocess.downcast.features.nothing"):
    make_raw_parser(SimpleNamespace(train_data=config), ("continuous",))

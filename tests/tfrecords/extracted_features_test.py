"""Tests of `tfrecords.extracted_features` and of `downcast`, alone and in pipelines."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import record
from tfrecords.config.data import Preprocess
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.preprocessing import Preprocessor, dense_widths
from tfrecords.schema import features_of


def table(*rows):
  keys = ("name", "source_tensor", "index")
  return {"extract_features": {"extract_feature_table": [dict(zip(keys, row)) for row in rows]}}


@pytest.fixture(name="make")
def make_fixture(tmp_path):
  """Builds a pipeline of the records 1 and 2."""
  record_files.write_shard(tmp_path / "a.tfrecord", [record(1), record(2)])

  def make(section, features=None, schema=None):
    config = record_files.data_config(tmp_path, schema, preprocess=section)
    return InputPipeline(config, "evaluate", features)

  return make


def only_batch(pipeline):
  ((features, _, _),) = pipeline.dataset
  return features


def test_extracted_features_come_by_name(make):
  features = only_batch(make(table(("second", "continuous", 1), ("last", "binary", -1))))
  assert features["second"].numpy().tolist() == [[1.25], [2.25]]
  assert features["last"].numpy().tolist() == [[0], [0]]
  assert features["continuous"].shape == (2, 5)
  assert {"user.lang", "meta__author_id"} <= set(features)


def test_the_source_is_parsed_but_not_yielded(make):
  features = only_batch(make(table(("second", "continuous", 1)), ["second"]))
  assert {name: tensor.numpy().tolist() for name, tensor in features.items()} == {
    "second": [[1.25], [2.25]]
  }


def test_what_is_not_asked_for_is_not_there(make):
  assert set(only_batch(make(table(("new", "continuous", 1)), ["continuous"]))) == {"continuous"}


def test_columns_count_after_slicing(make):
  section = {"truncate_and_slice": {"continuous_feature_truncation": 2}}
  features = only_batch(make({**section, **table(("last", "continuous", -1))}))
  assert features["last"].numpy().tolist() == [[1.25], [2.25]]


def test_values_that_are_no_numbers_pass_unharmed(tmp_path, make):
  row = [float("nan"), float("inf"), -0.0, 1.0, 2.0]
  record_files.write_shard(tmp_path / "a.tfrecord", [record(0, cont_vals=row)])
  rows = [(str(index), "continuous", index) for index in range(3)]
  features = only_batch(make(table(*rows)))
  found = np.concatenate([features[str(index)] for index in range(3)], axis=1)
  assert found.tobytes() == np.array([row[:3]], np.float32).tobytes()


def test_widths_of_extracted_features(tmp_path):
  section = {
    "truncate_and_slice": {"continuous_feature_truncation": 4},
    **table(("new", "continuous", 3)),
  }
  config = record_files.data_config(tmp_path, preprocess=section)
  widths = dense_widths(config, features_of(config))
  assert (widths["new"], widths["continuous"]) == (1, 4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int32", "bool"])
def test_the_model_gets_downcast_floats_as_float32(tmp_path, make, dtype):
  record_files.write_shard(tmp_path / "a.tfrecord", [record(0, cont_vals=[1.001, 0.0, -3.7, 5, 1])])
  section = {"downcast": {"features": {"continuous": dtype, "binary": "uint8"}}}
  section.update(table(("third", "continuous", 2)))
  features = only_batch(make(section))
  values = tf.constant([[1.001, 0.0, -3.7, 5, 1]])
  expected = tf.cast(tf.cast(values, dtype), tf.float32)
  for name in ("continuous", "binary", "third"):
    assert features[name].dtype == tf.float32
  assert features["continuous"].numpy().tolist() == expected.numpy().tolist()
  assert features["third"].numpy().tolist() == expected[:, 2:3].numpy().tolist()
  assert features["binary"].numpy().tolist() == [[0, 1, 0]]


def test_downcast_integers_come_back_as_integers(make):
  features = only_batch(make({"downcast": {"features": {"meta__author_id": "int32"}}}))
  assert features["meta__author_id"].dtype == tf.int64
  assert features["meta__author_id"].numpy().tolist() == [[1], [2]]


def test_in_the_preprocessor_the_dtype_is_the_new_one():
  section = {"downcast": {"features": {"continuous": "float16", "absent": "bool"}}}
  result = Preprocessor(validate(Preprocess, section, "test"))({"continuous": tf.ones([1, 2])})
  assert {name: tensor.dtype for name, tensor in result.items()} == {"continuous": tf.float16}


def test_masked_mantissas_in_a_pipeline(make):
  schema = {"mask_mantissa_features": {"continuous": 22, "author_embedding": 0}}
  features = only_batch(make(None, schema=schema))
  assert features["continuous"].numpy().tolist() == [[1, 1, 1.5, 1.5, 2], [2, 2, 2, 2, 3]]
  assert features["author_embedding"].numpy().tolist() == [[1, -1], [2, -2]]


def complaint(make, *args, **options):
  with pytest.raises(ConfigError) as caught:
    make(*args, **options)
  return str(caught.value)


@pytest.mark.parametrize(
  "row, key, part",
  [
    (("new", "continous", 0), "source_tensor", "did you mean 'continuous'?"),
    (("new", "is_liked", 0), "source_tensor", "reads no feature 'is_liked'"),
    (("new", "user.topics", 0), "source_tensor", "int64_list of length -1, allowed: numbers of a"),
    (("new", "user.lang", 0), "source_tensor", "bytes_list of length 1, allowed: numbers of a"),
    (("new", "continuous", 5), "index", "found 5, allowed: -5 to 4"),
    (("new", "binary", -4), "index", "found -4, allowed: -3 to 2"),
    (("binary", "continuous", 0), "name", "found 'binary', which is taken"),
    (("is_liked", "continuous", 0), "name", "found 'is_liked', which is taken"),
    (("one", "continuous", 0), "name", "found 'one', which is taken"),
  ],
)
def test_rows_that_cannot_be_extracted(make, row, key, part):
  message = complaint(make, table(("one", "continuous", 0), row))
  place = "train_data.preprocess.extract_features.extract_feature_table.1"
  assert message.startswith(f"{place}.{key}: ")
  assert part in message


def test_an_unknown_feature_names_the_extracted_ones_too(make):
  message = complaint(make, table(("position", "continuous", 0)), ["positon"])
  assert "did you mean 'position'?" in message


@pytest.mark.parametrize(
  "name, part",
  [
    ("continous", "did you mean 'continuous'?"),
    ("is_liked", "the section reads no such feature"),
    ("user.lang", "found a feature of bytes_list, allowed: numbers"),
  ],
)
def test_features_that_cannot_be_downcast(make, name, part):
  message = complaint(make, {"downcast": {"features": {name: "bool"}}})
  assert message.startswith(f"train_data.preprocess.downcast.features.{name}: ")
  assert part in message


def test_a_timestamp_in_use_cannot_be_downcast(make):
  fields = dict.fromkeys(["served_timestamp_field", "impressed_timestamp_field"], "meta__author_id")
  section = {
    "downcast": {"features": {"meta__author_id": "int32"}},
    "rectify_labels": {
      **fields,
      "label_to_engaged_timestamp_field": {"is_liked": "meta__author_id"},
    },
  }
  message = complaint(make, section)
  assert "downcast.features.meta__author_id: found a timestamp" in message


def test_an_unknown_dtype():
  with pytest.raises(ConfigError, match="downcast.features.continuous: found 'int7'"):
    validate(Preprocess, {"downcast": {"features": {"continuous": "int7"}}}, "test")


@pytest.mark.parametrize("bits", [-1, 24, 1.5])
def test_bits_a_mantissa_does_not_have(tmp_path, bits):
  with pytest.raises(ConfigError, match="mask_mantissa_features.continuous: found"):
    record_files.data_config(tmp_path, {"mask_mantissa_features": {"continuous": bits}})


@pytest.mark.parametrize(
  "name, part",
  [
    ("continous", "reads no such feature, did you mean 'continuous'?"),
    ("cont_vals", "reads no such feature"),
    ("binary", "found a feature of int64_list, allowed: float_list"),
  ],
)
def test_features_without_a_mantissa(make, name, part):
  message = complaint(make, None, schema={"mask_mantissa_features": {name: 3}})
  assert message.startswith(f"train_data.seg_dense_schema.mask_mantissa_features.{name}: ")
  assert part in message

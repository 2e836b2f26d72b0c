"""Parsing, weights and preprocessing of the reference's own records, bit for bit."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from tests.tfrecords import record_files
from tfrecords import paths
from tfrecords.config.data import DataConfig, Preprocess, TaskSampling
from tfrecords.config.strict_model import validate
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.labels import split_labels
from tfrecords.parsing import make_parser
from tfrecords.preprocessing import Preprocessor
from tfrecords.schema import features_of

BAZEL_DATA = ["//tests/golden:all", "//configs:all"]

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDS = GOLDEN / "e_examples.tfrecord.gz"
SCHEMA = Path(paths.package_root()) / "configs" / "home_recap_2022" / "segdense.json"
ROW_WITHOUT_LABELS = 6
FIRST_LABEL_IT_LACKS = "recap.engagement.is_favorited"


@pytest.fixture(name="facts", scope="module")
def facts_fixture():
  return json.loads((GOLDEN / "e_data.json").read_text())


@pytest.fixture(name="arrays", scope="module")
def arrays_fixture():
  with np.load(GOLDEN / "e_data.npz") as arrays:
    return dict(arrays)


@pytest.fixture(name="make_config", scope="module")
def make_config_fixture(facts):
  reference = yaml.safe_load((GOLDEN / "a_full.yaml").read_text())["train_data"]
  rates = facts["weight_rates_pos_neg"]

  def make(**changes):
    section = {
      "inputs": str(RECORDS),
      "global_batch_size": 8,
      "seg_dense_schema": {
        "schema_path": str(SCHEMA),
        "features": [],
        "renamed_features": reference["seg_dense_schema"]["renamed_features"],
      },
      "tasks": {
        task: {"pos_downsampling_rate": positive, "neg_downsampling_rate": negative}
        for task, (positive, negative) in rates.items()
      },
      **changes,
    }
    return validate(DataConfig, section, "test")

  return make


@pytest.fixture(name="serialized", scope="module")
def serialized_fixture():
  """The records, without TensorFlow's help."""
  content, records = gzip.decompress(RECORDS.read_bytes()), []
  while content:
    (length,) = struct.unpack_from("<Q", content)
    records.append(content[12 : 12 + length])
    content = content[16 + length :]
  return records


@pytest.fixture(name="parsed", scope="module")
def parsed_fixture(make_config, serialized):
  names = [str(index) for index in range(len(serialized))]
  return make_parser(features_of(make_config()))(tf.constant(serialized), tf.constant(names))


def section_of(arrays, name):
  start = f"{name}/"
  return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}


def assert_same_bits(actual, expected):
  """Equal values, dtypes and signs of zeros; NaN equals NaN."""
  actual = np.asarray(actual)
  assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
  assert actual.tobytes() == expected.tobytes()


def test_parsing(parsed, arrays, facts):
  expected = section_of(arrays, "parse")
  assert set(parsed) == set(expected) == set(facts["parse_key_order"])
  for name, array in expected.items():
    assert_same_bits(parsed[name], array)


def test_weights(parsed, make_config, arrays, facts):
  tasks = tuple(facts["label_columns"])
  names = tf.constant([""] * 8)
  features, labels, weights = split_labels(parsed, make_config(), tasks, names)
  assert set(features) == set(facts["map_train_eval_feature_keys"]) - {"weights"}
  for column, task in enumerate(tasks):
    assert_same_bits(weights[task], arrays["weights/weights"][:, column])
    assert_same_bits(weights[task], arrays["map_train_eval/weights"][:, column])
    expected = arrays["map_train_eval/labels"][:, column]
    assert_same_bits(labels[task], expected.astype(np.float32))


SLICED = {
  "truncate": {"continuous_feature_truncation": 2117, "binary_feature_truncation": 59},
  "truncate_and_mask": {
    "continuous_feature_truncation": 2117,
    "binary_feature_truncation": 59,
    "continuous_feature_mask_path": str(GOLDEN / "e_continuous_mask.npy"),
    "binary_feature_mask_path": str(GOLDEN / "e_binary_mask.npy"),
  },
}


@pytest.mark.parametrize("name", SLICED)
def test_truncation_and_slicing(parsed, arrays, name):
  config = validate(Preprocess, {"truncate_and_slice": SLICED[name]}, "test")
  result = Preprocessor(config)(parsed)
  assert set(result) == set(parsed)
  for feature in ("continuous", "binary"):
    assert_same_bits(result[feature], arrays[f"{name}/{feature}"])
  for feature in set(parsed) - {"continuous", "binary"}:
    assert_same_bits(result[feature], parsed[feature].numpy())


def test_slicing_alone(parsed, arrays):
  binary = {"binary": parsed["binary"][:, :59]}
  path = {"binary_feature_mask_path": str(GOLDEN / "e_binary_mask.npy")}
  result = Preprocessor(validate(Preprocess, {"truncate_and_slice": path}, "test"))(binary)
  assert_same_bits(result["binary"], arrays["mask_only_binary/binary"])


@pytest.mark.parametrize("name", SLICED)
def test_the_pipeline_as_a_whole(make_config, arrays, facts, name):
  config = make_config(missing_labels="zero", preprocess={"truncate_and_slice": SLICED[name]})
  ((features, labels, weights),) = InputPipeline(config, "evaluate").dataset
  assert set(features) == set(facts["map_train_eval_feature_keys"]) - {"weights"}
  for feature, tensor in features.items():
    sliced = feature in ("continuous", "binary")
    expected = arrays[f"{name if sliced else 'parse'}/{feature}"]
    assert_same_bits(tensor, expected.astype(np.float32) if feature == "binary" else expected)
  for column, task in enumerate(facts["label_columns"]):
    expected = arrays["map_train_eval/labels"][:, column]
    assert_same_bits(labels[task], expected.astype(np.float32))
    assert_same_bits(weights[task], arrays["weights/weights"][:, column])


@pytest.mark.parametrize("read", [record_files.read_eagerly, record_files.read_in_function])
def test_a_record_that_lacks_a_label_is_refused(make_config, read):
  pipeline = InputPipeline(make_config(), "evaluate")
  with pytest.raises(DataError) as caught:
    read(pipeline)
  assert str(caught.value) == (
    f"{RECORDS}: record {ROW_WITHOUT_LABELS}: label {FIRST_LABEL_IT_LACKS!r} is missing. Write the "
    "file again with it, or let missing labels count as negatives with --set "
    "train_data.missing_labels=zero"
  )


def test_without_sampling_every_weight_is_one(make_config, facts):
  tasks = {task: TaskSampling().model_dump() for task in facts["label_columns"]}
  pipeline = InputPipeline(make_config(tasks=tasks, missing_labels="zero"), "evaluate")
  ((_, _, weights),) = pipeline.dataset
  for weight in weights.values():
    assert_same_bits(weight, np.ones(8, np.float32))

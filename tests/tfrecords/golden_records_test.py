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
from tfrecords.config.data import DataConfig, DownsampleNegatives, Preprocess, TaskSampling
from tfrecords.config.strict_model import validate
from tfrecords.downsampled_negatives import NegativeDownsampler
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.labels import split_labels
from tfrecords.parsing import make_parser, mask_mantissa
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


def test_masked_mantissas(arrays):
  result = mask_mantissa(tf.constant([1.1, -2.3, 3e38]), 16)
  assert_same_bits(result, arrays["mask_mantissa16/x"])


def preprocess(batch, **section):
  return Preprocessor(validate(Preprocess, section, "test"))(batch)


def tensors(arrays, name):
  return {key: tf.constant(array) for key, array in section_of(arrays, name).items()}


def stored(tensor):
  """A tensor the way the arrays hold it: bfloat16 as float32."""
  return tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor


def test_downcast(arrays, facts):
  dtypes = {"continuous": "bfloat16", "binary": "bool", "user_embedding": "bfloat16"}
  result = preprocess(tensors(arrays, "downcast_in"), downcast={"features": dtypes})
  assert set(result) == set(facts["keys"]["downcast"])
  assert {name: tensor.dtype.name for name, tensor in result.items()} == dtypes
  for name, tensor in result.items():
    assert_same_bits(stored(tensor), arrays[f"downcast/{name}"])


@pytest.mark.parametrize("name, window", [("rectify", {}), ("rectify_half_hour", 0.5)])
def test_rectified_labels(arrays, facts, name, window):
  section = dict(facts["rectify_config"])
  if window:
    section["label_rectification_window_in_hours"] = window
  result = preprocess(tensors(arrays, "rectify_in"), rectify_labels=section)
  assert set(result) == set(facts["keys"][name])
  for key, tensor in result.items():
    expected = arrays.get(f"{name}/{key}", arrays[f"rectify_in/{key}"])
    assert_same_bits(tensor, expected)


def test_extracted_features(parsed, arrays, facts):
  section = {"extract_feature_table": facts["extract_table"]}
  result = preprocess(parsed, extract_features=section)
  expected = section_of(arrays, "extract")
  assert set(result) == {*parsed, *expected}
  for name, array in expected.items():
    assert_same_bits(result[name], array)


def test_the_chain_of_steps(parsed, arrays, facts):
  result = preprocess(
    parsed,
    truncate_and_slice={"continuous_feature_truncation": 50, "binary_feature_truncation": 9},
    downcast={"features": {"binary": "bool"}},
    extract_features={"extract_feature_table": facts["extract_table"][:2]},
  )
  expected = section_of(arrays, "build_preprocess_chain")
  assert set(expected) == {"continuous", "binary", "pos", "c0"}
  for name, array in expected.items():
    assert_same_bits(result[name], array)
  binary = preprocess(parsed, truncate_and_slice={"binary_feature_truncation": 59})["binary"]
  assert_same_bits(binary, arrays["build_preprocess_truncate/binary"])


DOWNSAMPLED = (
  "few_pos_w",
  "few_pos_now",
  "n_pos_gt_batch",
  "single_label",
  "no_pos",
  "not_divisible",
)


@pytest.mark.parametrize("name", DOWNSAMPLED)
def test_downsampled_negatives(arrays, facts, name):
  case = dict(facts["downsample_cases"][name])
  batch = tensors(arrays, f"downsample_{name}_in")
  n_rows = case.pop("batch")
  weights = batch.pop("weights") if case.pop("weights_in_inputs") else tf.ones([n_rows, 3])
  downsampler = NegativeDownsampler(validate(DownsampleNegatives, case, "test"), "key")
  rows, factor = downsampler.rows(batch, n_rows // downsampler.multiplier)
  for key, tensor in batch.items():
    assert_same_bits(tf.gather(tensor, rows), arrays[f"downsample_{name}/{key}"])
  weighted = tf.gather(weights, rows) * factor[:, None]
  assert_same_bits(weighted, arrays[f"downsample_{name}/weights"])


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

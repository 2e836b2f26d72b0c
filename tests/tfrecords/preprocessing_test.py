"""Tests of `tfrecords.preprocessing`."""

import io
import pickle

import numpy as np
import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords.config.data import Preprocess
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError, DataError
from tfrecords.preprocessing import Preprocessor, dense_widths
from tfrecords.schema import Feature, features_of

CONTINUOUS = Feature("cont_vals", "continuous", "float_list", 5)
BINARY = Feature("binary_vals", "binary", "int64_list", 3)


def preprocess(**section):
  return validate(Preprocess, {"truncate_and_slice": section}, "test")


@pytest.fixture(name="mask")
def mask_fixture(tmp_path):
  """Writes a mask file, returns its path."""

  def write(values, name="mask.npy"):
    np.save(tmp_path / name, np.asarray(values))
    return str(tmp_path / name)

  return write


@pytest.fixture(name="batch")
def batch_fixture():
  return {
    "continuous": tf.reshape(tf.range(10.0), [2, 5]),
    "binary": tf.constant([[0, 1, 0], [1, 1, 0]], tf.int64),
    "other": tf.zeros([2, 7]),
  }


def values(batch):
  return {name: tensor.numpy().tolist() for name, tensor in batch.items()}


@pytest.mark.parametrize("config", [None, Preprocess(), preprocess()])
def test_nothing_to_do(batch, config):
  assert values(Preprocessor(config)(batch)) == values(batch)


def test_truncation(batch):
  config = preprocess(continuous_feature_truncation=2, binary_feature_truncation=1)
  result = Preprocessor(config)(batch)
  assert values(result) == {
    "continuous": [[0, 1], [5, 6]],
    "binary": [[0], [1]],
    "other": values(batch)["other"],
  }
  assert result["binary"].dtype == tf.int64


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint8, np.float32])
def test_slicing(batch, mask, dtype):
  path = mask(np.array([0, 1, 0, 0, 1], dtype))
  result = Preprocessor(preprocess(continuous_feature_mask_path=path))(batch)
  assert values(result)["continuous"] == [[1, 4], [6, 9]]
  assert values(result)["binary"] == values(batch)["binary"]


def test_truncation_comes_before_slicing(batch, mask):
  config = preprocess(
    continuous_feature_truncation=3, continuous_feature_mask_path=mask([True, False, True])
  )
  preprocessor = Preprocessor(config)
  assert values(preprocessor(batch))["continuous"] == [[0, 2], [5, 7]]
  assert preprocessor.width(CONTINUOUS) == 2


def test_absent_features_are_no_problem(batch):
  del batch["continuous"]
  config = preprocess(continuous_feature_truncation=3)
  assert set(Preprocessor(config)(batch)) == {"binary", "other"}


def test_values_that_are_no_numbers_pass_unharmed(mask):
  row = [np.nan, np.inf, -np.inf, 0.0, -0.0]
  result = Preprocessor(preprocess(continuous_feature_mask_path=mask([1] * 5)))(
    {"continuous": tf.constant([row, [0.0] * 5])}
  )
  np.testing.assert_array_equal(result["continuous"], [row, [0.0] * 5])


def test_works_in_a_graph_with_any_batch_size(batch, mask):
  preprocessor = Preprocessor(preprocess(continuous_feature_mask_path=mask([1, 0, 1, 1, 0])))
  specs = {name: tf.TensorSpec([None, *x.shape[1:]], x.dtype) for name, x in batch.items()}
  graph = tf.function(preprocessor, input_signature=[specs])
  assert values(graph(batch))["continuous"] == [[0, 2, 3], [5, 7, 8]]
  assert graph.get_concrete_function().structured_outputs["continuous"].shape.as_list() == [None, 3]


def test_widths(tmp_path, mask):
  config = record_files.data_config(
    tmp_path,
    preprocess={
      "truncate_and_slice": {
        "continuous_feature_truncation": 4,
        "binary_feature_mask_path": mask([0, 1, 1]),
      }
    },
  )
  assert dense_widths(config, features_of(config)) == {
    "continuous": 4,
    "binary": 2,
    "author_embedding": 2,
    "meta__author_id": 1,
    "is_liked": 1,
    "is_replied": 1,
  }


def width_complaint(feature, **section):
  with pytest.raises(ConfigError) as caught:
    Preprocessor(preprocess(**section), "validation_data.all.preprocess").width(feature)
  message = str(caught.value)
  assert message.startswith("validation_data.all.preprocess.truncate_and_slice")
  return message


def test_truncation_beyond_the_schema():
  message = width_complaint(CONTINUOUS, continuous_feature_truncation=6)
  assert ".continuous_feature_truncation: found 6, allowed: at most 5" in message


@pytest.mark.parametrize("length", [2, 4])
def test_a_mask_of_the_wrong_length(mask, length):
  message = width_complaint(BINARY, binary_feature_mask_path=mask([1] * length))
  assert f".binary_feature_mask_path: the mask has {length} entries, allowed: 3" in message


def test_a_mask_for_the_length_before_truncation(mask):
  message = width_complaint(
    CONTINUOUS, continuous_feature_truncation=3, continuous_feature_mask_path=mask([1] * 5)
  )
  assert "the mask has 5 entries, allowed: 3, one for each column that truncation leaves" in message


def test_a_feature_of_variable_length(mask):
  feature = Feature("cont_vals", "continuous", "float_list", -1)
  for section in (
    {"continuous_feature_truncation": 3},
    {"continuous_feature_mask_path": mask([1, 1])},
  ):
    assert "'continuous' has a variable length" in width_complaint(feature, **section)


def mask_complaint(path):
  with pytest.raises(DataError) as caught:
    Preprocessor(preprocess(binary_feature_mask_path=str(path)))
  message = str(caught.value)
  assert message.startswith("train_data.preprocess.truncate_and_slice.binary_feature_mask_path: ")
  assert str(path) in message
  return message


def test_a_missing_mask_file(tmp_path):
  assert "cannot be read" in mask_complaint(tmp_path / "nowhere.npy")


def test_a_folder_as_mask_file(tmp_path):
  assert "cannot be read" in mask_complaint(tmp_path)


def npz_bytes():
  file = io.BytesIO()
  np.savez(file, mask=np.ones(3))
  return file.getvalue()


def npy_bytes(values):
  file = io.BytesIO()
  np.save(file, values)
  return file.getvalue()


@pytest.mark.parametrize(
  "content",
  [
    b"",
    b"1,0,1\n",
    b"\x93NUMPY",
    b"PK\x03\x04 no archive",
    pickle.dumps([1, 0, 1]),
    npz_bytes(),
    npy_bytes(np.ones(3))[:-1],
    npy_bytes(np.ones(3))[:40],
    npy_bytes(np.ones(3)).replace(b"(3,)", b"(3e,"),
    npy_bytes(np.ones(12345678)[:0]).replace(b"(0,), }" + b" " * 14, b"(99999999999999,), }"),
  ],
  ids=range(10),
)
def test_no_npy_file(tmp_path, content):
  path = tmp_path / "mask.npy"
  path.write_bytes(content)
  message = mask_complaint(path)
  assert "is no .npy file of numbers that can be read" in message
  assert "write one with numpy.save" in message


class Trap:
  """Unpickling one of these leaves a trace."""

  sprung = False

  def __reduce__(self):
    return (setattr, (Trap, "sprung", True))


def test_a_pickle_is_not_executed(tmp_path):
  path = tmp_path / "mask.npy"
  for content in (npy_bytes(np.array([Trap()], object)), pickle.dumps(Trap())):
    path.write_bytes(content)
    mask_complaint(path)
  assert not Trap.sprung
  pickle.loads(pickle.dumps(Trap()))
  assert Trap.sprung


@pytest.mark.parametrize(
  "values, shown",
  [
    ([0, 0, 0], "int64 of shape (3,): [0 0 0]"),
    ([0, 1, 2], "int64 of shape (3,): [0 1 2]"),
    ([0.0, 1.0, np.nan], "float64 of shape (3,): [ 0.  1. nan]"),
    ([[0, 1, 1]], "int64 of shape (1, 3)"),
    (1, "int64 of shape ()"),
    ([], "float64 of shape (0,): []"),
    (["0", "1", "1"], "<U1 of shape (3,)"),
    ([0, 1j, 1], "complex128 of shape (3,)"),
  ],
)
def test_a_mask_holds_zeros_and_ones(mask, values, shown):
  message = mask_complaint(mask(values))
  assert shown in message
  assert "allowed: a vector of 0 and 1 (or booleans) with at least one 1" in message


def test_an_unset_variable_in_the_masks_path():
  with pytest.raises(ConfigError, match="NO_SUCH_PLACE, which is not set"):
    Preprocessor(preprocess(binary_feature_mask_path="${NO_SUCH_PLACE}/mask.npy"))

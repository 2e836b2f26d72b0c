"""Tests of `tfrecords.parsing`."""

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords.parsing import MISSING_LABEL, make_parser, mask_mantissa
from tfrecords.schema import Feature

FEATURES = {
  "continuous": Feature("cont_vals", "continuous", "float_list", 5),
  "binary": Feature("binary_vals", "binary", "int64_list", 3),
  "user.lang": Feature("user.lang", "user.lang", "bytes_list", 1),
  "user.topics": Feature("user.topics", "user.topics", "int64_list", -1),
  "is_liked": Feature("is_liked", "is_liked", "int64_list", 1),
}


def parse(records, features=FEATURES, labels=frozenset()):
  names = tf.constant([f"number {index}" for index in range(len(records))])
  return make_parser(features, labels)(tf.constant(records), names)


def test_values_come_under_the_name_inside_the_model():
  parsed = parse([record_files.record(0), record_files.record(2)])
  assert set(parsed) == set(FEATURES)
  assert parsed["continuous"].numpy().tolist() == [[0, 0.25, 0.5, 0.75, 1], [2, 2.25, 2.5, 2.75, 3]]
  assert parsed["binary"].numpy().tolist() == [[0, 1, 0], [0, 1, 0]]
  assert parsed["user.lang"].numpy().tolist() == [[b"en"], [b"en"]]
  assert parsed["user.topics"].to_list() == [[], [0, 1]]
  assert {name: tensor.dtype for name, tensor in parsed.items()} == {
    "continuous": tf.float32,
    "binary": tf.int64,
    "user.lang": tf.string,
    "user.topics": tf.int64,
    "is_liked": tf.int64,
  }


def test_what_a_record_lacks_reads_as_zero():
  parsed = parse([b""])
  assert parsed["continuous"].numpy().tolist() == [[0.0] * 5]
  assert parsed["binary"].numpy().tolist() == [[0] * 3]
  assert parsed["user.lang"].numpy().tolist() == [[b""]]
  assert parsed["user.topics"].to_list() == [[]]
  assert parsed["is_liked"].numpy().tolist() == [[0]]


def test_an_absent_label_reads_as_a_value_no_label_has():
  parsed = parse([b"", record_files.record(1)], labels=frozenset({"is_liked"}))
  assert parsed["is_liked"].numpy().tolist() == [[MISSING_LABEL], [1]]
  assert parsed["binary"].numpy().tolist()[0] == [0] * 3


def test_nothing_else_is_parsed():
  broken = record_files.record(0, binary_vals=[0.5], is_liked=[b"x"])
  parsed = parse([broken], {"continuous": FEATURES["continuous"]})
  assert set(parsed) == {"continuous"}


def test_works_in_a_graph_with_any_number_of_records():
  parser = make_parser(FEATURES)
  records = tf.TensorSpec([None], tf.string)
  graph = tf.function(parser, input_signature=[records, records])
  assert graph(tf.constant([b""] * 3), tf.constant([""] * 3))["continuous"].shape == [3, 5]
  assert graph.get_concrete_function().structured_outputs["continuous"].shape.as_list() == [None, 5]


@pytest.mark.parametrize(
  "changes", [{"cont_vals": [1, 2, 3, 4, 5]}, {"cont_vals": [1.0]}, {"binary_vals": [1] * 4}]
)
def test_a_feature_unlike_the_schema_is_an_error_that_names_the_record(changes):
  with pytest.raises(tf.errors.InvalidArgumentError, match="number 1"):
    parse([record_files.record(0), record_files.record(1, **changes)])


def test_masked_mantissas():
  features = {
    "continuous": Feature("cont_vals", "continuous", "float_list", 5, masked_mantissa_bits=22),
    "any": Feature("author.vector", "any", "float_list", -1, masked_mantissa_bits=23),
    "spare": Feature("spare", "spare", "float_list", 2),
  }
  rows = [1.75, -2.75, 0.0, -0.0, float("inf")]
  parsed = parse([record_files.record(0, cont_vals=rows, author__vector=[3.0, 0.75])], features)
  expected = tf.constant([[1.5, -2.0, 0.0, -0.0, float("inf")]])
  assert parsed["continuous"].numpy().tobytes() == expected.numpy().tobytes()
  assert parsed["any"].to_list() == [[2.0, 0.5]]
  assert parsed["spare"].numpy().tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize("n_bits", [0, 1, 16, 23])
def test_masked_bits_are_the_lowest(n_bits):
  bits = tf.constant([0x3FFFFFFF, 0x40490FDB, 1], tf.int32)
  masked = tf.bitcast(mask_mantissa(tf.bitcast(bits, tf.float32), n_bits), tf.int32)
  assert masked.numpy().tolist() == [bit >> n_bits << n_bits for bit in bits.numpy().tolist()]

"""Tests of `tfrecords.serialization` against protobuf's own."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.serialization import serialize

_VALUES = {
  "float_list": st.floats(width=32, allow_nan=False),
  "int64_list": st.integers(-(2**63), 2**63 - 1),
  "bytes_list": st.binary(max_size=200),
}
_ARRAY_DTYPES = {"float_list": np.float32, "int64_list": np.int64, "bytes_list": object}


@st.composite
def _rows_of_a_feature(draw):
  dtype = draw(st.sampled_from(sorted(_VALUES)))
  return dtype, [draw(st.lists(_VALUES[dtype], max_size=40)) for _ in range(2)]


def _by_protobuf(dtype, values):
  if dtype == "float_list":
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
  if dtype == "int64_list":
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=150), _rows_of_a_feature(), min_size=1, max_size=4))
def test_protobuf_reads_what_it_would_have_written(drawn):
  features = {name: Feature(name, name, dtype, -1) for name, (dtype, _) in drawn.items()}
  columns = {
    name: [np.array(row, _ARRAY_DTYPES[dtype]) for row in rows]
    for name, (dtype, rows) in drawn.items()
  }
  for row, serialized in enumerate(serialize(columns, features)):
    expected = {name: _by_protobuf(dtype, rows[row]) for name, (dtype, rows) in drawn.items()}
    example = tf.train.Example(features=tf.train.Features(feature=expected))
    assert tf.train.Example.FromString(serialized) == example
    assert len(serialized) == example.ByteSize()


def test_the_order_of_the_columns_does_not_matter():
  columns = {name: np.arange(3).reshape(3, 1) for name in ("b", "a", "ab")}
  features = {name: Feature(name, name, "int64_list", 1) for name in columns}
  backwards = dict(reversed(columns.items()))
  assert list(serialize(columns, features)) == list(serialize(backwards, features))


def test_arrays_and_wide_features():
  values = np.arange(60000, dtype=np.float32).reshape(2, 30000)
  features = {"wide": Feature("wide", "wide", "float_list", 30000)}
  examples = [tf.train.Example.FromString(s) for s in serialize({"wide": values}, features)]
  read = [example.features.feature["wide"].float_list.value for example in examples]
  np.testing.assert_array_equal(np.array(read, np.float32), values)


def test_no_columns_and_no_rows():
  assert list(serialize({}, {})) == []
  features = {"x": Feature("x", "x", "int64_list", VARIABLE_LENGTH)}
  assert list(serialize({"x": []}, features)) == []

"""Tests of `tfrecords.packed.layout`."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.packed.layout import DTYPES, Array, columns, decode, encode

_BITS = {"float32": np.uint32, "bfloat16": np.uint16, "int64": np.int64}


@st.composite
def blocks(draw):
  """A few arrays of any bits, NaN and infinities among them, with their values."""
  rows = draw(st.integers(1, 9))
  arrays, values = [], {}
  for number in range(draw(st.integers(1, 4))):
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    layout = draw(st.sampled_from(["rows", "planes" if dtype == "int64" else "columns"]))
    array = Array(f"array {number}", draw(st.integers(1, 5)), dtype, layout)
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    content = generator.integers(0, 256, (rows, array.width * DTYPES[dtype].size), np.uint8)
    # Zeros at the ends of planes, and whole planes of them.
    content[:, draw(st.integers(0, content.shape[1])) :] = 0
    content[draw(st.integers(0, rows)) :] = 0
    arrays.append(array)
    values[array.name] = content.view(_BITS[dtype])
  return rows, arrays, values


def _decoded(record, arrays, rows):
  return decode(tf.constant(record), arrays, rows, tf.constant("the record"))


def _bits(tensor):
  return np.atleast_2d(tensor.numpy()).view(_BITS[tensor.dtype.name])


@settings(max_examples=40, deadline=None)
@given(blocks())
def test_what_was_encoded_is_decoded(block):
  rows, arrays, values = block
  record = encode({name: _as_numpy(value) for name, value in values.items()}, arrays)
  decoded = _decoded(record, arrays, rows)
  assert set(decoded) == {array.dtype for array in arrays}
  for array in arrays:
    dtype, first, end = columns(arrays)[array.name]
    assert dtype == array.dtype
    np.testing.assert_array_equal(_bits(decoded[dtype][:, first:end]), values[array.name])


def _as_numpy(bits):
  return bits.view(np.float32) if bits.dtype == np.uint32 else bits


def test_decoding_some_arrays_in_a_graph():
  arrays = [Array("a", 2, "float32", "columns"), Array("b", 1, "int64", "rows")]
  values = {"a": np.float32([[1, -2], [0.5, 3]]), "b": np.int64([[-1], [2**62]])}
  record = encode(values, arrays)
  decoded = tf.function(lambda: _decoded(record, arrays[1:], 2))()
  assert list(decoded) == ["int64"]
  np.testing.assert_array_equal(decoded["int64"], values["b"])


def test_the_documented_bytes():
  arrays = [Array("plain", 2, "float32", "rows"), Array("cut", 2, "int64", "planes")]
  values = {
    "plain": np.float32([[1, 2], [3, 4]]),
    "cut": np.int64([[1, 0x0203], [0x0400, 0]]),
  }
  found = tf.train.Example.FromString(encode(values, arrays)).features.feature
  assert list(found["rows"].int64_list.value) == [2]
  assert list(found["plain"].bytes_list.value) == [values["plain"].astype("<f4").tobytes()]
  (planes,) = found["cut"].bytes_list.value
  # The lowest bytes first, column by column.
  assert zlib.decompress(planes) == b"\1\0\3\0" + b"\0\4\2\0" + bytes(6 * 4)


@pytest.mark.parametrize("rows", [0, -1, 5, 2**40])
def test_an_impossible_number_of_rows(rows):
  example = tf.train.Example.FromString(
    encode({"a": np.float32([[1.0]])}, [Array("a", 1, "float32", "rows")])
  )
  example.features.feature["rows"].int64_list.value[0] = rows
  with pytest.raises(tf.errors.InvalidArgumentError, match="not a number of examples"):
    _decoded(example.SerializeToString(), [Array("a", 1, "float32", "rows")], 4)


@pytest.mark.parametrize(
  "record", [b"", b"\xff\xff", tf.train.Example().SerializeToString(), "too short"]
)
def test_foreign_records(record):
  arrays = [Array("a", 3, "float32", "rows")]
  if record == "too short":
    record = encode({"a": np.float32([[1, 2]])}, [Array("a", 2, "float32", "rows")])
  with pytest.raises((tf.errors.InvalidArgumentError, UnicodeDecodeError)):
    _decoded(record, arrays, 4)

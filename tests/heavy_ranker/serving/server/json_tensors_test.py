"""Tensors as JSON: round trips, what is refused, and where."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heavy_ranker.serving.server import json_tensors
from heavy_ranker.serving.server.request_errors import Code, RequestError

BAZEL_SIZE = "medium"

_DTYPES = ["float32", "float64", "float16", "int64", "int32", "uint8", "uint64", "bool"]


def _describe(index):
  return "x" + "".join(f"[{i}]" for i in index)


def _read(text, dtype):
  value = json.loads(text, parse_constant=json_tensors.CONSTANTS.__getitem__)
  return json_tensors.to_array(value, dtype, _describe)


def _written(array, name="x"):
  texts = json_tensors.to_texts(array, name)
  return f"[{', '.join(texts)}]" if array.ndim else texts[0]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_tensors_read_back_equal(data):
  dtype = data.draw(st.sampled_from(_DTYPES))
  shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)
  array = data.draw(hnp.arrays(dtype, shapes))
  back = _read(_written(array), tf.as_dtype(dtype))
  assert back.dtype == array.dtype and back.shape == array.shape
  np.testing.assert_array_equal(back, array)


def test_bfloat16_reads_back_equal():
  array = np.array([1.5, 1e30, -0.1], tf.bfloat16.as_numpy_dtype)
  back = _read(_written(array), tf.bfloat16)
  assert back.dtype == array.dtype and (back == array).all()


def test_floats_have_the_fewest_digits():
  array = np.array([0.1, 1.0, 1e-7, 1e20, math.nan, math.inf, -math.inf], np.float32)
  assert _written(array) == "[0.1, 1.0, 1e-07, 1e+20, NaN, Infinity, -Infinity]"


@pytest.mark.parametrize("shape", [(0,), (2, 0), (2, 3, 0)])
def test_empty_tensors_keep_the_shape_json_can_tell(shape):
  back = _read(_written(np.zeros(shape, np.float32)), tf.float32)
  assert back.shape == shape


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_bytes_read_back_equal(values):
  array = np.array([*values, None], object)[:-1]
  assert list(_read(_written(array, "x_bytes"), tf.string)) == values


def test_strings_are_utf_8():
  assert list(_read('["ä", {"b64": "4oKs"}, ""]', tf.string)) == ["ä".encode(), "€".encode(), b""]
  assert _written(np.array(["ä".encode()], object)) == '["\\u00e4"]'


@pytest.mark.parametrize("text", ["AAE", "AAE=", "A A\\nE=", ""])
def test_base64_may_lack_padding(text):
  expected = b"\x00\x01" if text else b""
  assert list(_read(f'[{{"b64": "{text}"}}]', tf.string)) == [expected]


def test_the_largest_float_reads_back():
  largest = np.finfo(np.float32).max
  assert _read("[3.4028235e+38, -3.4028235e38]", tf.float32).tolist() == [largest, -largest]


def test_integers_stand_for_floats_that_equal_them():
  assert _read("[1, 2.5, 1600000000, -3]", tf.float32).tolist() == [1, 2.5, 1.6e9, -3]
  assert _read(str(2**53), tf.float64) == 2**53


@pytest.mark.parametrize(
  ("text", "dtype", "message"),
  [
    ("[1, true]", tf.float32, r"x\[1\]: found true, allowed: a number"),
    ("[[1], [null]]", tf.float32, r"x\[1\]\[0\]: found null"),
    ('["1.5"]', tf.float32, r'x\[0\]: found "1.5"'),
    ("[16777217]", tf.float32, r"x\[0\]: found 16777217.*exactly"),
    (f"[{2**53 + 1}]", tf.float64, "exactly"),
    ("[1, 1e39]", tf.float32, r"x\[1\]: found 1e\+39, allowed: float32, -3.4"),
    ("[Infinity, 1e999]", tf.float64, r"x\[1\]: found Infinity, allowed: float64"),
    ("[" + "9" * 400 + "]", tf.float32, r"x\[0\]: found an integer of 1329 bits"),
    ("[-" + "9" * 400 + ", 1]", tf.float64, r"x\[0\]: found an integer of"),
    ("[1.0]", tf.int64, r"x\[0\]: found 1.0, allowed: an integer"),
    ("[true]", tf.int64, "allowed: an integer"),
    ("[NaN]", tf.int64, "allowed: an integer"),
    (f"[0, {2**63}]", tf.int64, r"x\[1\]: found 9223372036854775808, allowed: int64"),
    ("[-1]", tf.uint64, "allowed: uint64, 0 to"),
    ("[300]", tf.uint8, "allowed: uint8, 0 to 255"),
    ("[1]", tf.bool, "true or false"),
    ("[1]", tf.string, "allowed: a string"),
    ('[{"b64": "!"}]', tf.string, r"x\[0\]: found \"!\", allowed: base64"),
    ('[{"b64": "A"}]', tf.string, "allowed: base64"),
    ('[{"b64": "ä"}]', tf.string, "allowed: base64"),
    ('[{"b64": 1}]', tf.string, "allowed: a string"),
    ('["\\ud800"]', tf.string, r"x\[0\]: found half a surrogate pair"),
    ('[{"a": 1}]', tf.float32, r'x\[0\]: found an object with "a"'),
    ("[[1, 2], [3]]", tf.float32, r"x\[1\]: found a list of 1, allowed: a list of 2"),
    ("[[1, 2], 3]", tf.float32, r"x\[1\]: found 3, allowed: a list of 2"),
    ("[1, [2]]", tf.float32, r"x\[1\]: found a list of 1, allowed: no list"),
    ("[[[1], [2]], [[3], []]]", tf.float32, r"x\[1\]\[1\]: found a list of 0"),
    ("[" * 40 + "]" * 40, tf.float32, "nested deeper than 32"),
  ],
)
def test_what_is_refused_is_named(text, dtype, message):
  with pytest.raises(RequestError, match=message) as error:
    _read(text, dtype)
  assert error.value.code == Code.INVALID_ARGUMENT


def test_a_type_without_json_is_not_implemented():
  with pytest.raises(RequestError, match="complex64") as error:
    _read("[1]", tf.complex64)
  assert error.value.code == Code.UNIMPLEMENTED
  with pytest.raises(RequestError, match="complex64"):
    json_tensors.to_texts(np.zeros(1, np.complex64), "x")


def test_bytes_without_the_suffix_have_to_be_utf_8():
  with pytest.raises(RequestError, match="output x: found bytes"):
    json_tensors.to_texts(np.array([b"\xff"], object), "x")

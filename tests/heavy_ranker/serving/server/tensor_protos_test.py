"""Tensors of requests: what clients send in any of its forms, and what nobody should."""

import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2

from heavy_ranker.serving.server import tensor_protos
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.signature_info import SignatureInfo, TensorInfo

_MAX_BYTES = 10**6
_DTYPES = [
  np.float32, np.float64, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32,
  np.int64, np.uint64, np.bool_,
]  # fmt: skip


def _decode(proto, dtype, shape):
  info = SignatureInfo("any", {"x": TensorInfo(tf.as_dtype(dtype), shape)}, {}, "predict")
  return tensor_protos.to_arrays({"x": proto}, info, 100, _MAX_BYTES)["x"]


@hypothesis.given(strategies.data(), strategies.sampled_from(_DTYPES))
@hypothesis.settings(max_examples=60, deadline=None)
def test_all_types_come_through(data, dtype):
  shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
  array = data.draw(arrays.arrays(dtype, shape))
  proto = tf.make_tensor_proto(array)
  np.testing.assert_array_equal(_decode(proto, dtype, (None, *shape[1:])), array)
  answer = tensor_protos.from_array(array)
  np.testing.assert_array_equal(tf.make_ndarray(answer), array)
  if dtype is not np.float16:
    np.testing.assert_array_equal(_decode(answer, dtype, (None, *shape[1:])), array)


@hypothesis.given(strategies.lists(strategies.binary(max_size=5), min_size=1, max_size=5))
@hypothesis.settings(max_examples=60, deadline=None)
def test_strings_come_through_with_zeros_at_their_ends(values):
  array = np.array([*values, b"end\0\0"], object)
  assert _decode(tf.make_tensor_proto(array), tf.string, (None,)).tolist() == array.tolist()
  assert tf.make_ndarray(tensor_protos.from_array(array)).tolist() == array.tolist()


def _proto(dtype=tf.float32, shape=(2, 3), **values):
  proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, **values)
  for size in shape:
    proto.tensor_shape.dim.add(size=size)
  return proto


def test_values_left_out_are_the_last_one_as_in_tensorflow():
  decoded = _decode(_proto(float_val=[1, 2]), tf.float32, (None, 3))
  np.testing.assert_array_equal(decoded, [[1, 2, 2], [2, 2, 2]])
  np.testing.assert_array_equal(_decode(_proto(), tf.float32, (None, 3)), np.zeros((2, 3)))


@pytest.mark.parametrize(
  "proto, words",
  [
    (_proto(float_val=[1] * 7), "float_val: found 7 values, allowed: 6"),
    (_proto(tensor_content=b"12345"), "tensor_content: found 5 bytes, allowed: 24"),
    (_proto(shape=(2**40, 3), float_val=[1]), "1 to 100 examples"),
    (_proto(shape=(-1, 3), float_val=[1]), "sizes of 0 or more"),
    (_proto(dtype=tf.int32, int_val=[1]), "float32"),
    (_proto(dtype=tf.resource), "float32"),
    (tensor_pb2.TensorProto(dtype=999), "the type 999"),
    (tensor_pb2.TensorProto(), "the type 0"),
  ],
)
def test_what_is_no_tensor_of_this_kind_is_refused(proto, words):
  with pytest.raises(RequestError) as found:
    _decode(proto, tf.float32, (None, 3))
  assert found.value.code is Code.INVALID_ARGUMENT
  assert words in found.value.message and "'x'" in found.value.message


def test_a_small_message_cannot_claim_much_memory():
  with pytest.raises(RequestError, match="allowed: 250000"):
    _decode(_proto(shape=(1, 2**45), float_val=[1]), tf.float32, (None, None))


@hypothesis.given(strategies.binary(max_size=60))
@hypothesis.settings(max_examples=100, deadline=None)
def test_any_bytes_that_parse_are_decoded_or_refused(content):
  try:
    proto = tensor_pb2.TensorProto.FromString(content)
  except Exception:  # noqa: BLE001 - no message at all.
    return
  for dtype, shape in ((tf.float32, (None,)), (tf.string, (None, 2)), (tf.half, None)):
    try:
      decoded = _decode(proto, dtype, shape)
    except RequestError:
      continue
    assert decoded.size == math.prod(dim.size for dim in proto.tensor_shape.dim)

"""TensorProto messages into arrays and back, without more copies than needed."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2

from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.signature_info import SignatureInfo

_FIELD_OF = {
  tf.float32: "float_val",
  tf.float64: "double_val",
  tf.int8: "int_val",
  tf.uint8: "int_val",
  tf.int16: "int_val",
  tf.uint16: "int_val",
  tf.int32: "int_val",
  tf.int64: "int64_val",
  tf.uint32: "uint32_val",
  tf.uint64: "uint64_val",
  tf.bool: "bool_val",
  tf.string: "string_val",
}
# Of these the field holds the bits, as whole numbers.
_BITS_OF = {tf.float16: "half_val", tf.bfloat16: "half_val"}


def to_arrays(
  protos: Mapping[str, tensor_pb2.TensorProto],
  info: SignatureInfo,
  max_examples: int,
  max_bytes: int,
) -> dict[str, np.ndarray]:
  """Returns the inputs of a request as arrays.

  Names, types and shapes are checked before anything is allocated: a message of a few bytes can
  describe a tensor of any size.

  Args:
    protos: by the input's name.
    info: the signature they are for.
    max_examples: the largest number of examples in a request.
    max_bytes: the largest tensor.

  Raises:
    RequestError: INVALID_ARGUMENT, names the input.
  """
  info.check_names(protos)
  return {
    name: _to_array(name, proto, info, max_examples, max_bytes) for name, proto in protos.items()
  }


def from_array(array: np.ndarray) -> tensor_pb2.TensorProto:
  """Returns an output as clients expect it: values in the field of their type, as in float_val."""
  dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
  if dtype not in _FIELD_OF:
    return tf.make_tensor_proto(array, dtype)
  shape = tensor_shape_pb2.TensorShapeProto(
    dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in array.shape]
  )
  values = array.ravel().tolist()
  return tensor_pb2.TensorProto(
    dtype=dtype.as_datatype_enum, tensor_shape=shape, **{_FIELD_OF[dtype]: values}
  )


def _to_array(
  name: str,
  proto: tensor_pb2.TensorProto,
  info: SignatureInfo,
  max_examples: int,
  max_bytes: int,
) -> np.ndarray:
  where = f"signature {info.name!r}: input {name!r}"
  try:
    dtype = tf.as_dtype(proto.dtype)
  except TypeError:
    raise _invalid(where, f"found the type {proto.dtype}, allowed: a known one") from None
  shape = tuple(dim.size for dim in proto.tensor_shape.dim)
  if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
    raise _invalid(where, f"found the shape {list(shape)}, allowed: sizes of 0 or more")
  info.check_tensor(name, dtype, shape, max_examples)
  size = math.prod(shape)
  if size * dtype.size > max_bytes:
    raise _invalid(where, f"found {size} values, allowed: {max_bytes // dtype.size}")
  if proto.tensor_content and dtype != tf.string:
    return _from_content(where, proto.tensor_content, dtype, shape)
  return _from_values(where, proto, dtype, shape)


def _from_content(where: str, content: bytes, dtype: tf.DType, shape: tuple) -> np.ndarray:
  expected = math.prod(shape) * dtype.size
  if len(content) != expected:
    raise _invalid(
      where, f"tensor_content: found {len(content)} bytes, allowed: {expected}, as its shape says"
    )
  return np.frombuffer(content, dtype.as_numpy_dtype).reshape(shape)


def _from_values(
  where: str, proto: tensor_pb2.TensorProto, dtype: tf.DType, shape: tuple
) -> np.ndarray:
  if dtype not in _FIELD_OF and dtype not in _BITS_OF:
    raise _invalid(where, f"found {dtype.name} without tensor_content, which this type needs")
  field = _FIELD_OF.get(dtype) or _BITS_OF[dtype]
  values, size = getattr(proto, field), math.prod(shape)
  if len(values) > size:
    raise _invalid(where, f"{field}: found {len(values)} values, allowed: {size}")
  if dtype in _BITS_OF:
    # Of larger numbers the lowest 16 bits count.
    bits = _filled(values, size, tf.int32).astype(np.uint16)
    return bits.view(dtype.as_numpy_dtype).reshape(shape)
  return _filled(values, size, dtype).reshape(shape)


def _filled(values: Any, size: int, dtype: tf.DType) -> np.ndarray:
  """Returns `size` values: those given, then the last one again and again, as TensorFlow does."""
  is_string = dtype == tf.string
  array = np.empty(size, object if is_string else dtype.as_numpy_dtype)
  last = values[-1] if len(values) else (b"" if is_string else 0)
  array[: len(values)] = values
  array[len(values) :] = last
  return array


def _invalid(where: str, what: str) -> RequestError:
  return RequestError(Code.INVALID_ARGUMENT, f"{where}: {what}")

"""Matrices -> serialized tf.Examples, a whole block at a time, joined by Arrow.

The same bytes as `tfrecords.serialization`, which describes the format, at several times its speed,
and without TensorFlow, which each worker would have to load. A record is made of pieces: bytes all
rows share, and columns of bytes; Arrow puts them together row by row.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_FIRST, _SECOND = b"\x0a", b"\x12"
_FLOATS, _INTEGERS = b"\x12", b"\x1a"
_VARINT_BYTES = 10


def serialize(features: Mapping[str, np.ndarray]) -> pa.LargeBinaryArray:
  """Returns one serialized tf.Example a row, features sorted by name.

  Args:
    features: float32 or int64 [rows, width] by name, width at least 1.
  """
  entries = [_entry(name, features[name]) for name in sorted(features, key=str.encode)]
  content = pc.binary_join_element_wise(*entries, pa.scalar(b"", pa.large_binary()))
  return pc.binary_join_element_wise(*_field(_FIRST, content), pa.scalar(b"", pa.large_binary()))


def varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the varints of int64 values [rows, width], and how many bytes each row has.

  Returns:
    uint8 [bytes], one row after the other; int64 [rows].
  """
  unsigned = np.ascontiguousarray(values, np.int64).view(np.uint64)
  if unsigned.size and int(unsigned.max()) < 128:  # Flags, by far the most frequent case.
    return unsigned.astype(np.uint8).ravel(), np.full(len(values), values.shape[1], np.int64)
  n_bytes = np.ones(unsigned.shape, np.int64)
  for size in range(1, _VARINT_BYTES):
    n_bytes += unsigned >= np.uint64(1 << 7 * size)
  longest = int(n_bytes.max()) if n_bytes.size else 1
  place = np.arange(longest, dtype=np.uint64)
  digits = (unsigned[..., np.newaxis] >> (place * np.uint64(7))) & np.uint64(127)
  goes_on = place < (n_bytes[..., np.newaxis] - 1).astype(np.uint64)
  digits = digits.astype(np.uint8) | np.where(goes_on, np.uint8(128), np.uint8(0))
  return digits[place < n_bytes[..., np.newaxis].astype(np.uint64)], n_bytes.sum(axis=1)


def _entry(name: str, matrix: np.ndarray) -> pa.Array:
  if matrix.dtype == np.float32:
    data = np.ascontiguousarray(matrix).astype("<f4", copy=False)
    lengths, kind = np.full(len(matrix), 4 * matrix.shape[1], np.int64), _FLOATS
    values = _binary(data.view(np.uint8).ravel(), lengths)
  else:
    data, lengths = varints(matrix)
    values, kind = _binary(data, lengths), _INTEGERS
  listed = _joined(_field(_FIRST, values))
  named = _constant(_FIRST + _varint(len(name.encode())) + name.encode())
  value = _joined(_field(_SECOND, _joined(_field(kind, listed))))
  return _joined(_field(_FIRST, _joined([named, value])))


def _field(tag: bytes, content: pa.Array) -> list:
  return [_constant(tag), _lengths(pc.binary_length(content)), content]


def _joined(pieces: list) -> pa.Array:
  return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))


def _constant(data: bytes) -> pa.Scalar:
  return pa.scalar(data, pa.large_binary())


def _lengths(lengths: pa.Array) -> pa.Array:
  numbers = lengths.to_numpy(zero_copy_only=False).astype(np.int64)[:, np.newaxis]
  data, n_bytes = varints(numbers)
  return _binary(data, n_bytes)


def _binary(data: np.ndarray, lengths: np.ndarray) -> pa.LargeBinaryArray:
  offsets = np.zeros(len(lengths) + 1, np.int64)
  np.cumsum(lengths, out=offsets[1:])
  buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
  return pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)


def _varint(number: int) -> bytes:
  data, _ = varints(np.array([[number]]))
  return data.tobytes()

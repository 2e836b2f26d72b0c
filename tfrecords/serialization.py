"""Columns of values -> serialized tf.Examples: the way back of `tfrecords.parsing`.

The bytes are put together by hand, features sorted by name: an order of magnitude faster for wide
features than `tf.train.Example`, and the same bytes whatever protobuf is installed. In protobuf's
wire format every message in a message is a tag byte, its length and its bytes:

    Example    0A features
    Features   0A an entry, for each feature
    entry      0A the name, 12 the value
    value      one of 0A a bytes_list, 12 a float_list, 1A an int64_list
    the lists  0A the values: floats as 4 bytes each, integers as varints, one after another
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

import numpy as np
import tensorflow as tf

from tfrecords.schema import Feature

# The rows of one feature: an array [rows, length], or a list of arrays where lengths differ.
Rows = Union[np.ndarray, Sequence[np.ndarray]]

_FIRST, _SECOND = b"\x0a", b"\x12"
_KIND = {"bytes_list": b"\x0a", "float_list": b"\x12", "int64_list": b"\x1a"}


def serialize(columns: Mapping[str, Rows], features: Mapping[str, Feature]) -> Iterator[bytes]:
  """Yields one serialized tf.Example a row; the same values always give the same bytes.

  Args:
    columns: rows by name in the record, all of the same number of rows; values fit the dtype.
    features: what each of them is, by name in the record.
  """
  parts = []
  for name in sorted(columns, key=str.encode):
    dtype = features[name].dtype
    parts.append((_field(_FIRST, name.encode()), _KIND[dtype], columns[name], _LISTS[dtype]))
  for row in range(len(parts[0][2]) if parts else 0):
    entries = [
      _field(_FIRST, name + _field(_SECOND, _field(kind, make_list(rows[row]))))
      for name, kind, rows, make_list in parts
    ]
    yield _field(_FIRST, b"".join(entries))


def _field(tag: bytes, content: bytes) -> bytes:
  return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
  if number < 128:
    return _ONE_BYTE[number]
  digits = []
  while number >= 128:
    digits.append(number & 127 | 128)
    number >>= 7
  return bytes([*digits, number])


_ONE_BYTE = [bytes([number]) for number in range(128)]


def _float_list(values: np.ndarray) -> bytes:
  return _field(_FIRST, values.astype("<f4", copy=False).tobytes()) if len(values) else b""


def _int64_list(values: np.ndarray) -> bytes:
  return tf.train.Int64List(value=values.tolist()).SerializeToString()


def _bytes_list(values: np.ndarray) -> bytes:
  return tf.train.BytesList(value=values.tolist()).SerializeToString()


_LISTS = {"bytes_list": _bytes_list, "float_list": _float_list, "int64_list": _int64_list}

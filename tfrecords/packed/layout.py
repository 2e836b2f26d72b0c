"""The bytes of a packed record: a block of examples, array by array.

A record is a tf.train.Example with the number of its examples, `rows` (int64), and a bytes_list for
each array [rows, width]. Bytes are little-endian. There are two layouts:

* rows: one string, the values row by row.
* planes: the array is transposed, so that a column's values follow one another, and cut into
  planes: plane k holds byte k (0 is the least significant) of all of its values. Zero bytes at the
  end of a plane are left out; then some planes are zlib streams. Bytes of the same significance in
  the same column are alike, so that run lengths and Huffman codes find what there is to find.
"""

import functools
import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

ROWS = "rows"
Dtype = Literal["float32", "bfloat16", "int64"]
Layout = Literal["rows", "planes"]
DTYPES = {"float32": tf.float32, "bfloat16": tf.bfloat16, "int64": tf.int64}
PLANES = {name: dtype.size for name, dtype in DTYPES.items()}

_LEVEL = 6
# Of the same size, for products and sums that put planes together.
_INTEGERS = {"float32": tf.int32, "bfloat16": tf.uint16, "int64": tf.int64}


@dataclass(frozen=True)
class Array:
  """One array of a block.

  Attributes:
    name: its key in the record.
    width: its columns.
    dtype: how values are stored: "float32", "bfloat16" or "int64".
    layout: "rows" or "planes".
    zlib_planes: which planes are zlib streams.
  """

  name: str
  width: int
  dtype: Dtype
  layout: Layout
  zlib_planes: tuple[int, ...] = ()


def encode(values: Mapping[str, np.ndarray], arrays: Sequence[Array]) -> bytes:
  """Returns the record of a block.

  Args:
    values: by name, [rows, width]; float32, int64, or for bfloat16 uint16 that holds its bits.
    arrays: what the record shall hold.
  """
  rows = len(values[arrays[0].name])
  features = {ROWS: tf.train.Feature(int64_list=tf.train.Int64List(value=[rows]))}
  for array in arrays:
    make = _planes_of if array.layout == "planes" else _rows_of
    strings = make(values[array.name], array)
    features[array.name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=strings))
  example = tf.train.Example(features=tf.train.Features(feature=features))
  return example.SerializeToString(deterministic=True)


def decode(
  record: tf.Tensor, arrays: Sequence[Array], max_rows: int, name: tf.Tensor
) -> dict[str, tf.Tensor]:
  """Undoes `encode`, in a graph.

  Args:
    record: a serialized tf.Example, a scalar string.
    arrays: what to decode of what it holds.
    max_rows: the most examples a record may hold.
    name: the record's name for error messages, a scalar string.

  Returns:
    By dtype, such as "float32": [rows, width] of all arrays of that dtype, side by side in the
    order of `arrays`. Dtypes of which there is none are left out.

  Raises:
    tf.errors.InvalidArgumentError: when run, for a record that is no such block.
  """
  specification: dict[str, tf.io.FixedLenFeature] = {ROWS: tf.io.FixedLenFeature([], tf.int64)}
  for array in arrays:
    n_strings = PLANES[array.dtype] if array.layout == "planes" else 1
    specification[array.name] = tf.io.FixedLenFeature([n_strings], tf.string)
  parsed = tf.io.parse_single_example(record, specification, example_names=name)
  with tf.control_dependencies([_check(parsed[ROWS], max_rows, name)]):
    rows = tf.cast(parsed[ROWS], tf.int32)
  decoded = {}
  for dtype in DTYPES:
    chosen = [array for array in arrays if array.dtype == dtype]
    if chosen:
      decoded[dtype] = _decode_dtype(parsed, chosen, rows)
  return decoded


def columns(arrays: Sequence[Array]) -> dict[str, tuple[str, int, int]]:
  """Returns where `decode` puts each array: its dtype, its first column and the one behind it."""
  found, ends = {}, dict.fromkeys(DTYPES, 0)
  for array in arrays:
    found[array.name] = (array.dtype, ends[array.dtype], ends[array.dtype] + array.width)
    ends[array.dtype] += array.width
  return found


def _rows_of(values: np.ndarray, array: Array) -> list[bytes]:
  return [values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()]


def _planes_of(values: np.ndarray, array: Array) -> list[bytes]:
  little_endian = values.dtype.newbyteorder("<")
  by_column = np.ascontiguousarray(values.T).astype(little_endian, copy=False)
  of_bytes = by_column.view(np.uint8).reshape(-1, PLANES[array.dtype])
  planes = [of_bytes[:, plane].tobytes().rstrip(b"\0") for plane in range(of_bytes.shape[1])]
  return [
    _compressed(content) if plane in array.zlib_planes else content
    for plane, content in enumerate(planes)
  ]


def _compressed(content: bytes) -> bytes:
  # Run lengths and Huffman codes: smaller here than what searching for repeated strings finds.
  stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
  return stream.compress(content) + stream.flush()


def _check(rows: tf.Tensor, max_rows: int, name: tf.Tensor) -> tf.Operation:
  is_usable = tf.logical_and(rows >= 1, rows <= max_rows)
  return tf.debugging.Assert(is_usable, ["not a number of examples:", rows, name])


def _decode_dtype(
  parsed: Mapping[str, tf.Tensor], arrays: Sequence[Array], rows: tf.Tensor
) -> tf.Tensor:
  """Returns [rows, width] of all arrays, which are of one dtype."""
  # Runs of arrays of one layout; the order stays.
  parts: list[tf.Tensor] = []
  for layout, run in itertools.groupby(arrays, lambda array: array.layout):
    if layout == "planes":
      parts.append(_from_planes(parsed, list(run), rows))
    else:
      parts += [_from_rows(parsed[array.name][0], array, rows) for array in run]
  return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def _from_rows(content: tf.Tensor, array: Array, rows: tf.Tensor) -> tf.Tensor:
  values = tf.io.decode_raw(content, DTYPES[array.dtype])
  return tf.reshape(values, tf.stack([rows, array.width]))


def _from_planes(
  parsed: Mapping[str, tf.Tensor], arrays: Sequence[Array], rows: tf.Tensor
) -> tf.Tensor:
  dtype = arrays[0].dtype
  integer = _INTEGERS[dtype]
  width = sum(array.width for array in arrays)
  terms = []
  for plane in range(PLANES[dtype]):
    parts = [_plane(parsed[array.name][plane], array, plane, rows) for array in arrays]
    joined = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
    # Products and sums wrap around, which makes them shifts and ors, only several times as fast.
    factor = np.array(1 << 8 * plane, np.uint64).astype(integer.as_numpy_dtype)
    terms.append(tf.cast(joined, integer) * factor)
  total = functools.reduce(tf.add, terms)
  by_column = tf.reshape(total, tf.stack([width, rows]))
  return tf.ensure_shape(tf.transpose(tf.bitcast(by_column, DTYPES[dtype])), [None, width])


def _plane(content: tf.Tensor, array: Array, plane: int, rows: tf.Tensor) -> tf.Tensor:
  """Returns uint8 [width * rows]."""
  if plane in array.zlib_planes:
    content = tf.io.decode_compressed(content, "ZLIB")
  return tf.io.decode_raw(content, tf.uint8, fixed_length=array.width * rows)

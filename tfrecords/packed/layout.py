"""The bytes of a packed record: a block of examples, array by array.

A record is a tf.train.Example with the number of its examples, `rows` (int64), and a bytes_list for
each array [rows, width]. Bytes are little-endian. There are three layouts:

* rows: one string, the values row by row.
* columns: floats, in strings by `tfrecords.packed.column_codes`.
* planes: integers, byte by byte, in one zlib stream: byte 0, the least significant one, of all
  values, column by column, then byte 1 of all values, and so on.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

from tfrecords.packed import column_codes, column_decoding

ROWS = "rows"
Dtype = Literal["float32", "bfloat16", "int64"]
Layout = Literal["rows", "columns", "planes"]
DTYPES = {"float32": tf.float32, "bfloat16": tf.bfloat16, "int64": tf.int64}


@dataclass(frozen=True)
class Array:
  """One array of a block.

  Attributes:
    name: its key in the record.
    width: its columns.
    dtype: how values are stored: "float32", "bfloat16" or "int64".
    layout: "rows", "columns" for floats, or "planes" for integers.
  """

  name: str
  width: int
  dtype: Dtype
  layout: Layout

  @property
  def number_of_strings(self) -> int:
    """How many strings it has in a record."""
    if self.layout == "columns":
      return len(column_codes.string_names(DTYPES[self.dtype].size))
    return 1


def encode(
  values: Mapping[str, np.ndarray], arrays: Sequence[Array], price_of_inflating: float = 0.0
) -> bytes:
  """Returns the record of a block.

  Args:
    values: by name, [rows, width]; float32, int64, or for bfloat16 uint16 that holds its bits.
    arrays: what the record shall hold.
    price_of_inflating: see `tfrecords.packed.column_codes.encode`.
  """
  make = {
    "rows": _rows_of,
    "columns": lambda array: column_codes.encode(array, price_of_inflating),
    "planes": _planes_of,
  }
  rows = len(values[arrays[0].name])
  features = {ROWS: tf.train.Feature(int64_list=tf.train.Int64List(value=[rows]))}
  for array in arrays:
    strings = make[array.layout](values[array.name])
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
    specification[array.name] = tf.io.FixedLenFeature([array.number_of_strings], tf.string)
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


def _rows_of(values: np.ndarray) -> list[bytes]:
  return [values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()]


def _planes_of(values: np.ndarray) -> list[bytes]:
  by_column = np.ascontiguousarray(values.T).astype(values.dtype.newbyteorder("<"), copy=False)
  of_bytes = by_column.view(np.uint8).reshape(-1, values.dtype.itemsize)
  return [column_codes.squeezed(np.ascontiguousarray(of_bytes.T))]


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
    if layout == "rows":
      parts += [_from_rows(parsed[array.name][0], array, rows) for array in run]
    else:
      decode_run = _from_columns if layout == "columns" else _from_planes
      parts.append(decode_run(parsed, list(run), rows))
  return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def _from_rows(content: tf.Tensor, array: Array, rows: tf.Tensor) -> tf.Tensor:
  values = tf.io.decode_raw(content, DTYPES[array.dtype])
  return tf.reshape(values, tf.stack([rows, array.width]))


def _from_columns(
  parsed: Mapping[str, tf.Tensor], arrays: Sequence[Array], rows: tf.Tensor
) -> tf.Tensor:
  strings, widths = [parsed[array.name] for array in arrays], [array.width for array in arrays]
  return tf.transpose(column_decoding.decode(strings, widths, rows, DTYPES[arrays[0].dtype]))


def _from_planes(
  parsed: Mapping[str, tf.Tensor], arrays: Sequence[Array], rows: tf.Tensor
) -> tf.Tensor:
  planes = []
  for array in arrays:
    content = tf.io.decode_raw(column_decoding.inflate(parsed[array.name][0]), tf.uint8)
    planes.append(tf.reshape(content, tf.stack([tf.int64.size, array.width, rows])))
  return tf.bitcast(tf.transpose(tf.concat(planes, axis=1)), tf.int64)

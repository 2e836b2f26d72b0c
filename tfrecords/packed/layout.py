"""The bytes of a packed record: a block of examples, its columns cut into planes of bytes.

A record is a tf.train.Example with the number of its examples, `rows` (int64), and a bytes_list for
each array [rows, width]. An array is transposed, so that a column's values follow one another, and
cut into planes: plane k holds byte k (0 is the least significant) of all of its values. bfloat16
holds the upper two bytes of a float32. Zero bytes at the end of a plane are left out; then some planes
are zlib streams. Bytes of the same significance in the same column are alike, so that run lengths and
Huffman codes find what there is to find, and undoing them is cheap.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

ROWS = "rows"
Dtype = Literal["float32", "bfloat16", "int64"]
PLANES = {"float32": 4, "bfloat16": 2, "int64": 8}

_LEVEL = 6


@dataclass(frozen=True)
class Array:
  """One array of a block.

  Attributes:
    name: its key in the record.
    width: its columns.
    dtype: how values are stored: "float32", "bfloat16" or "int64".
    zlib_planes: which planes are zlib streams.
  """

  name: str
  width: int
  dtype: Dtype
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
    planes = _planes_of(values[array.name], array)
    features[array.name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=planes))
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
    float32 [rows, width], all float arrays side by side, as "float32", and likewise "int64"; in the
    order of `arrays`. What is not among them is left out.

  Raises:
    tf.errors.InvalidArgumentError: when run, for a record that is no such block.
  """
  specification: dict[str, tf.io.FixedLenFeature] = {ROWS: tf.io.FixedLenFeature([], tf.int64)}
  for array in arrays:
    specification[array.name] = tf.io.FixedLenFeature([PLANES[array.dtype]], tf.string)
  parsed = tf.io.parse_single_example(record, specification, example_names=name)
  rows = tf.cast(parsed[ROWS], tf.int32)
  with tf.control_dependencies([_check(parsed[ROWS], max_rows, name)]):
    rows = tf.identity(rows)
  bits = [_float_bits(parsed, arrays, dtype, rows) for dtype in ("float32", "bfloat16")]
  floats = [each for each in bits if each is not None]
  decoded = {}
  if floats:
    joined = floats[0] if len(floats) == 1 else tf.concat(floats, axis=0)
    decoded["float32"] = tf.transpose(tf.bitcast(joined, tf.float32))
  integers = [array for array in arrays if array.dtype == "int64"]
  if integers:
    decoded["int64"] = tf.transpose(_combined(parsed, integers, rows, tf.int64, 0))
  widths = {"float32": len_of(arrays, ("float32", "bfloat16")), "int64": len_of(arrays, ("int64",))}
  return {kind: tf.ensure_shape(tensor, [None, widths[kind]]) for kind, tensor in decoded.items()}


def len_of(arrays: Sequence[Array], dtypes: Sequence[str]) -> int:
  """Returns how many columns the arrays of some dtypes have together."""
  return sum(array.width for array in arrays if array.dtype in dtypes)


def columns(arrays: Sequence[Array]) -> dict[str, tuple[str, int, int]]:
  """Returns where `decode` puts each array: its tensor, its first column and the one behind it."""
  found, ends = {}, {"float32": 0, "int64": 0}
  for dtypes in (("float32",), ("bfloat16",), ("int64",)):
    kind = "int64" if dtypes == ("int64",) else "float32"
    for array in arrays:
      if array.dtype in dtypes:
        found[array.name] = (kind, ends[kind], ends[kind] + array.width)
        ends[kind] += array.width
  return found


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


def _float_bits(parsed, arrays, dtype, rows):  # noqa: ANN001, ANN202 - see decode.
  """Returns int32 [columns, rows], the bits of float32, or None if there is no such array."""
  chosen = [array for array in arrays if array.dtype == dtype]
  return _combined(parsed, chosen, rows, tf.int32, 4 - PLANES[dtype]) if chosen else None


def _combined(
  parsed: Mapping[str, tf.Tensor],
  arrays: Sequence[Array],
  rows: tf.Tensor,
  dtype: tf.DType,
  first_byte: int,
) -> tf.Tensor:
  """Returns integers [columns, rows] of the planes of arrays of one dtype.

  Args:
    parsed: planes by the array's name.
    arrays: of one dtype.
    rows: how many examples.
    dtype: tf.int32 or tf.int64.
    first_byte: which byte of the result plane 0 is; those below are 0.
  """
  width = sum(array.width for array in arrays)
  terms = []
  for plane in range(PLANES[arrays[0].dtype]):
    parts = [_plane(parsed[array.name][plane], array, plane, rows) for array in arrays]
    joined = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
    # Products and sums wrap around, which makes them shifts and ors, only several times as fast.
    factor = np.array(1 << 8 * (first_byte + plane), np.uint64).astype(dtype.as_numpy_dtype)
    terms.append(tf.cast(joined, dtype) * factor)
  return tf.reshape(tf.add_n(terms), tf.stack([width, rows]))


def _plane(content: tf.Tensor, array: Array, plane: int, rows: tf.Tensor) -> tf.Tensor:
  """Returns uint8 [width * rows]."""
  if plane in array.zlib_planes:
    content = tf.io.decode_compressed(content, "ZLIB")
  return tf.io.decode_raw(content, tf.uint8, fixed_length=array.width * rows)

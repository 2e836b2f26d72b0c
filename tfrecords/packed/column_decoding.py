"""Undoes `tfrecords.packed.column_codes` in a graph, for several arrays at once."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrecords.packed.column_codes import (
  BYTE,
  CODES,
  CONSTANT,
  NIBBLE,
  PLANES,
  RAW,
  REPEATED,
  SEGMENTS,
  SMALL_BYTE,
  TWELVE_BITS,
  TWO_BYTES,
  string_names,
)

# Of the same size, for products and sums that put planes together.
_INTEGERS = {tf.float32: tf.int32, tf.bfloat16: tf.uint16, tf.int64: tf.int64}


def decode(
  arrays: Sequence[tf.Tensor], widths: Sequence[int], rows: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
  """Returns the columns of arrays one under the other, [sum of widths, rows].

  Args:
    arrays: the strings of each, from `tfrecords.packed.column_codes.encode`.
    widths: columns of each.
    rows: values a column, a scalar.
    dtype: float32 or bfloat16.
  """
  return _Decoder(arrays, widths, rows, dtype).columns()


def from_planes(planes: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
  """Returns values, given their bytes: uint8 of any shape, the lowest one first."""
  integer = _INTEGERS[dtype]
  # Products and sums wrap around, which makes them shifts and ors, only several times as fast.
  factors = np.array([1 << 8 * number for number in range(len(planes))], np.uint64)
  terms = [
    tf.cast(plane, integer) * factor
    for plane, factor in zip(planes, factors.astype(integer.as_numpy_dtype))
  ]
  return tf.bitcast(functools.reduce(tf.add, terms), dtype)


def inflate(content: tf.Tensor) -> tf.Tensor:
  """Returns what a zlib stream holds."""
  return tf.io.decode_compressed(content, "ZLIB")


class _Decoder:
  """The strings of arrays by name; those of one name are joined before anything is done to them.

  So the number of operations hardly grows with the number of arrays.
  """

  def __init__(
    self, arrays: Sequence[tf.Tensor], widths: Sequence[int], rows: tf.Tensor, dtype: tf.DType
  ):
    self._widths, self._rows, self._dtype = widths, rows, dtype
    self._strings = {
      name: [array[number] for array in arrays]
      for number, name in enumerate(string_names(dtype.size))
    }
    codes = tf.io.decode_raw(self._inflated("codes"), tf.uint8)
    self._numbers = [tf.cast(tf.where(codes == code)[:, 0], tf.int32) for code in CODES]
    self._scales = tf.reshape(tf.io.decode_raw(self._inflated("scales"), tf.float32), [-1, 2])

  def columns(self) -> tf.Tensor:
    """Returns what `decode` does."""
    numbers = self._numbers
    singles = tf.concat([numbers[code] for code in (CONSTANT, NIBBLE, BYTE, SMALL_BYTE)], axis=0)
    doubles = tf.concat([numbers[TWELVE_BITS], numbers[TWO_BYTES]], axis=0)
    whole = tf.concat([numbers[RAW], numbers[REPEATED]], axis=0)
    whole_values = tf.strings.join([self._joined("raw"), self._inflated("repeated")])
    columns = tf.dynamic_stitch(
      [singles, doubles, numbers[SEGMENTS], whole, numbers[PLANES]],
      [
        self._scaled(self._single_bytes(), singles),
        self._scaled(self._double_bytes(), doubles),
        self._segments(),
        self._unpacked(whole_values, self._dtype),
        self._planes(),
      ],
    )
    return self._with_exceptions(tf.ensure_shape(columns, [sum(self._widths), None]))

  def _single_bytes(self) -> tf.Tensor:
    """Returns the steps of no more than a byte, float32 [columns, rows]."""
    constant = tf.zeros(tf.stack([tf.size(self._numbers[CONSTANT]), self._rows]), tf.uint8)
    nibble, _ = self._nibbles
    byte = tf.strings.join([self._joined("bytes"), self._inflated("small_bytes")])
    return tf.cast(tf.concat([constant, nibble, self._unpacked(byte)], axis=0), tf.float32)

  def _double_bytes(self) -> tf.Tensor:
    """Returns the steps of more than a byte, likewise."""
    _, high_of_12 = self._nibbles
    low = self._unpacked(self._joined("low_of_12", "low_of_16"))
    high = tf.concat([high_of_12, self._unpacked(self._inflated("high_of_16"))], axis=0)
    return tf.cast(low, tf.float32) + tf.cast(high, tf.float32) * 256.0

  @functools.cached_property
  def _nibbles(self) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the steps of NIBBLE and the higher parts of TWELVE_BITS, uint8 [columns, rows]."""
    content = tf.io.decode_raw(self._joined("nibbles", "high_of_12"), tf.uint8)
    packed = tf.reshape(content, tf.stack([-1, (self._rows + 1) // 2]))
    first = tf.bitwise.bitwise_and(packed, tf.constant(0xF, tf.uint8))
    second = tf.bitwise.right_shift(packed, tf.constant(4, tf.uint8))
    both = tf.concat([first, second], axis=1)[:, : self._rows]
    n_nibbles = tf.size(self._numbers[NIBBLE])
    return both[:n_nibbles], both[n_nibbles:]

  def _scaled(self, steps: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    base, divisor = tf.split(tf.gather(self._scales, columns), 2, axis=1)
    return tf.cast((steps + base) / divisor, self._dtype)

  def _segments(self) -> tf.Tensor:
    """Returns the columns of SEGMENTS; each array has segments of its own."""
    of_arrays = []
    for first_rows, content in zip(self._strings["segment_starts"], self._strings["segments"]):
      starts = tf.io.decode_raw(first_rows, tf.int32)
      values = tf.io.decode_raw(content, self._dtype)
      segments = tf.searchsorted(starts, tf.range(self._rows), side="right") - 1
      of_arrays.append(tf.gather(tf.reshape(values, tf.stack([tf.size(starts), -1])), segments))
    return tf.transpose(tf.concat(of_arrays, axis=1))

  def _planes(self) -> tf.Tensor:
    lower = [self._joined(f"plane_{number}") for number in range(self._dtype.size - 1)]
    planes = [*lower, self._inflated("highest_plane")]
    return from_planes([self._unpacked(plane) for plane in planes], self._dtype)

  def _with_exceptions(self, columns: tf.Tensor) -> tf.Tensor:
    first_columns = [0, *itertools.accumulate(self._widths)]
    places = [
      tf.io.decode_raw(string, tf.int32) + first * self._rows
      for string, first in zip(self._strings["exception_places"], first_columns)
    ]
    flat = tf.tensor_scatter_nd_update(
      tf.reshape(columns, [-1]),
      tf.concat(places, axis=0)[:, tf.newaxis],
      tf.io.decode_raw(self._joined("exceptions"), self._dtype),
    )
    return tf.reshape(flat, tf.stack([sum(self._widths), self._rows]))

  def _unpacked(self, content: tf.Tensor, dtype: tf.DType = tf.uint8) -> tf.Tensor:
    """Returns bytes or values as [columns, rows]."""
    return tf.reshape(tf.io.decode_raw(content, dtype), tf.stack([-1, self._rows]))

  def _joined(self, *names: str) -> tf.Tensor:
    return tf.strings.join([string for name in names for string in self._strings[name]])

  def _inflated(self, name: str) -> tf.Tensor:
    return tf.strings.join([inflate(string) for string in self._strings[name]])

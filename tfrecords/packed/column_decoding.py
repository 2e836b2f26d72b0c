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
  SQUEEZED,
  TWELVE_BITS,
  TWO_BYTES,
  string_names,
)

# Of the same size, for products and sums that put planes together.
_INTEGERS = {tf.float32: tf.int32, tf.bfloat16: tf.uint16}


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


def _from_planes(planes: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
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
  """Returns what zlib streams hold, of any shape."""
  return tf.io.decode_compressed(content, "ZLIB")


def _by_name(parts: Sequence[tf.Tensor], names: Sequence[str]) -> list[dict[str, tf.Tensor]]:
  """Returns the strings of each array; parts are [arrays, some of the names]."""
  rows = zip(*(tf.unstack(part) for part in parts))
  return [dict(zip(names, [string for part in row for string in tf.unstack(part)])) for row in rows]


class _Decoder:
  """The strings of arrays by name, those of one name joined before anything is done to them.

  So there are few operations, each of which costs time of its own, however many arrays there are.
  """

  def __init__(
    self, arrays: Sequence[tf.Tensor], widths: Sequence[int], rows: tf.Tensor, dtype: tf.DType
  ):
    self._widths, self._rows, self._dtype = widths, rows, dtype
    stacked = tf.stack(arrays)
    parts = (stacked[:, : -len(SQUEEZED)], inflate(stacked[:, -len(SQUEEZED) :]))
    joined = [string for part in parts for string in tf.unstack(tf.strings.reduce_join(part, 0))]
    self._joined = dict(zip(string_names(dtype.size), joined))
    self._of_arrays = _by_name(parts, string_names(dtype.size))
    codes = tf.cast(tf.io.decode_raw(self._joined["codes"], tf.uint8), tf.int32)
    self._numbers = tf.dynamic_partition(tf.range(sum(widths)), codes, len(CODES))
    self._bases = tf.reshape(self._decoded(["bases"], tf.float32), [sum(widths), 1])
    self._divisors = tf.reshape(self._decoded(["divisors"], tf.float32), [sum(widths), 1])

  def columns(self) -> tf.Tensor:
    """Returns what `decode` does."""
    numbers = self._numbers
    singles = tf.concat([numbers[code] for code in (CONSTANT, NIBBLE, BYTE, SMALL_BYTE)], axis=0)
    doubles = tf.concat([numbers[TWELVE_BITS], numbers[TWO_BYTES]], axis=0)
    whole = tf.concat([numbers[RAW], numbers[REPEATED]], axis=0)
    columns = tf.dynamic_stitch(
      [singles, doubles, numbers[SEGMENTS], whole, numbers[PLANES]],
      [
        self._scaled(self._single_bytes(), singles),
        self._scaled(self._double_bytes(), doubles),
        self._segments(),
        self._unpacked(["raw", "repeated"], self._dtype),
        self._planes(),
      ],
    )
    return self._with_exceptions(tf.ensure_shape(columns, [sum(self._widths), None]))

  def _single_bytes(self) -> tf.Tensor:
    """Returns the steps of no more than a byte, float32 [columns, rows]."""
    constant = tf.zeros(tf.stack([tf.size(self._numbers[CONSTANT]), self._rows]), tf.uint8)
    nibble, _ = self._nibbles
    byte = self._unpacked(["bytes", "small_bytes"])
    return tf.cast(tf.concat([constant, nibble, byte], axis=0), tf.float32)

  def _double_bytes(self) -> tf.Tensor:
    """Returns the steps of more than a byte, likewise."""
    _, high_of_12 = self._nibbles
    low = self._unpacked(["low_of_12", "low_of_16"])
    high = tf.concat([high_of_12, self._unpacked(["high_of_16"])], axis=0)
    return tf.cast(low, tf.float32) + tf.cast(high, tf.float32) * 256.0

  @functools.cached_property
  def _nibbles(self) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the steps of NIBBLE and the higher parts of TWELVE_BITS, uint8 [columns, rows]."""
    content = tf.strings.join([self._joined["nibbles"], self._joined["high_of_12"]])
    length = tf.strings.length(content)
    # Eight bytes at a time: the last ones are filled up with zeros.
    packed = tf.io.decode_raw(content, tf.int64, fixed_length=(length // 8 + 1) * 8)
    shifted = tf.bitwise.right_shift(packed, tf.constant(4, tf.int64))
    halves = [self._lower_halves(numbers, length) for numbers in (packed, shifted)]
    both = tf.concat(halves, axis=1)[:, : self._rows]
    sizes = [tf.size(self._numbers[code]) for code in (NIBBLE, TWELVE_BITS)]
    nibbles, high_of_12 = tf.split(both, tf.stack(sizes))
    return nibbles, high_of_12

  def _lower_halves(self, packed: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Returns the lower four bits of each of so many bytes, uint8 [columns, half of the rows]."""
    lower = tf.bitwise.bitwise_and(packed, tf.constant(0x0F0F0F0F0F0F0F0F, tf.int64))
    of_bytes = tf.reshape(tf.bitcast(lower, tf.uint8), [-1])[:length]
    return tf.reshape(of_bytes, tf.stack([-1, (self._rows + 1) // 2]))

  def _scaled(self, steps: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    bases, divisors = tf.gather(self._bases, columns), tf.gather(self._divisors, columns)
    return tf.cast((steps + bases) / divisors, self._dtype)

  def _segments(self) -> tf.Tensor:
    """Returns the columns of SEGMENTS; each array has segments of its own."""
    of_arrays = []
    for strings in self._of_arrays:
      of_rows = tf.io.decode_raw(strings["segment_of_rows"], tf.int32)
      values = tf.io.decode_raw(strings["segments"], self._dtype)
      values = tf.reshape(values, tf.stack([of_rows[-1] + 1, -1]))
      of_arrays.append(tf.gather(values, of_rows))
    return tf.transpose(tf.concat(of_arrays, axis=1))

  def _planes(self) -> tf.Tensor:
    lower = [f"plane_{number}" for number in range(self._dtype.size - 1)]
    planes = [self._unpacked([name]) for name in (*lower, "highest_plane")]
    return _from_planes(planes, self._dtype)

  def _with_exceptions(self, columns: tf.Tensor) -> tf.Tensor:
    first_columns = [0, *itertools.accumulate(self._widths)]
    places = [
      tf.io.decode_raw(strings["exception_places"], tf.int32) + first * self._rows
      for strings, first in zip(self._of_arrays, first_columns)
    ]
    flat = tf.tensor_scatter_nd_update(
      tf.reshape(columns, [-1]),
      tf.concat(places, axis=0)[:, tf.newaxis],
      self._decoded(["exceptions"], self._dtype),
    )
    return tf.reshape(flat, tf.stack([sum(self._widths), self._rows]))

  def _unpacked(self, names: Sequence[str], dtype: tf.DType = tf.uint8) -> tf.Tensor:
    """Returns the bytes or values of strings as [columns, rows]."""
    return tf.reshape(self._decoded(names, dtype), tf.stack([-1, self._rows]))

  def _decoded(self, names: Sequence[str], dtype: tf.DType = tf.uint8) -> tf.Tensor:
    strings = [self._joined[name] for name in names]
    return tf.io.decode_raw(strings[0] if len(names) == 1 else tf.strings.join(strings), dtype)

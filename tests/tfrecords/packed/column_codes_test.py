"""Tests of `tfrecords.packed.column_codes` and of what undoes it, `column_decoding`."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.packed import column_codes, column_decoding
from tfrecords.packed.column_codes import (
  BYTE,
  CONSTANT,
  NIBBLE,
  PLANES,
  RAW,
  REPEATED,
  SEGMENTS,
  SMALL_BYTE,
  TWELVE_BITS,
  TWO_BYTES,
)

ROWS = 60
_RANDOM = np.random.default_rng(3)
_USERS = np.repeat(_RANDOM.standard_normal(6), 10)

# A column [ROWS], and its codes when decompression costs a byte of the file and when nothing.
COLUMNS = {
  "one value": (np.full(ROWS, 0.3), CONSTANT, CONSTANT),
  "mostly zero": (np.where(np.arange(ROWS) == 7, 0.123, 0), CONSTANT, REPEATED),
  "up to fifteen": (_RANDOM.integers(0, 16, ROWS), NIBBLE, SMALL_BYTE),
  "skewed counts": (_RANDOM.permutation([3] * 50 + [40] * 5 + [90] * 5), BYTE, SMALL_BYTE),
  "negative counts": (_RANDOM.integers(-300, -60, ROWS), BYTE, SMALL_BYTE),
  "sixty-fourths": (_RANDOM.permutation(np.arange(ROWS) * 65) / 64, TWELVE_BITS, TWO_BYTES),
  "cents": (_RANDOM.permutation(np.arange(ROWS) * 4 + 99) / 100, BYTE, SMALL_BYTE),
  "large counts": (_RANDOM.permutation(np.arange(ROWS) * 1000), TWO_BYTES, TWO_BYTES),
  "of a user": (_USERS, SEGMENTS, SEGMENTS),
  "of a user again": (np.abs(_USERS), SEGMENTS, SEGMENTS),
  "two values": (_RANDOM.choice([0.1234567, 7.654321], ROWS), REPEATED, REPEATED),
  "anything": (_RANDOM.standard_normal(ROWS), RAW, PLANES),
}


def _decoded(arrays, dtype=tf.float32):
  strings = [tf.constant(column_codes.encode(*array)) for array in arrays]
  widths = [values.shape[1] for values, _ in arrays]
  rows = tf.constant(len(arrays[0][0]))
  return column_decoding.decode(strings, widths, rows, dtype)


def _codes(strings):
  return list(zlib.decompress(strings[column_codes.string_names(4).index("codes")]))


def test_the_code_that_suits():
  values = np.stack([column for column, _, _ in COLUMNS.values()], axis=1).astype(np.float32)
  for price, expected in ((1.0, 1), (0.0, 2)):
    found = _codes(column_codes.encode(values, price))
    assert dict(zip(COLUMNS, found)) == {name: each[expected] for name, each in COLUMNS.items()}
    np.testing.assert_array_equal(_decoded([(values, price)]), values.T)


@pytest.mark.parametrize("price", [0.0, 1.0])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, -0.0, 1e-42, 3.4e38, 2.0**24, 0.1])
def test_odd_values_among_counts_are_exceptions(price, odd):
  values = np.float32(_RANDOM.integers(0, 200, [ROWS, 3]))
  values[5, 0] = values[ROWS - 1, 2] = odd
  assert set(_codes(column_codes.encode(values, price))) <= {BYTE, SMALL_BYTE}
  found = _decoded([(values, price)]).numpy()
  np.testing.assert_array_equal(found.view(np.uint32), values.T.copy().view(np.uint32))


def test_counts_are_small():
  values = np.float32(_RANDOM.geometric(0.2, [200, 50]))
  for price in (0.0, 1.0):
    n_bytes = sum(map(len, column_codes.encode(values, price)))
    assert n_bytes < values.nbytes / 4


@st.composite
def _blocks(draw):
  """One to three arrays of the same rows: counts, decimals, repetitions, and any bits at all."""
  rows, size = draw(st.integers(1, 40)), draw(st.sampled_from([4, 2]))
  arrays = []
  for _ in range(draw(st.integers(1, 3))):
    random = np.random.default_rng(draw(st.integers(0, 999)))
    columns = [_column(draw, random, rows) for _ in range(draw(st.integers(1, 6)))]
    values = np.stack(columns, axis=1)
    values = values if size == 4 else (values.view(np.uint32) >> 16).astype(np.uint16)
    arrays.append((values, draw(st.sampled_from([0.0, 0.3, 1.0]))))
  return arrays


def _column(draw, random, rows):
  scale, kind = draw(st.sampled_from([3.0, 90.0, 5000.0, 1e8])), draw(st.integers(0, 4))
  whole = np.rint(random.standard_normal(rows) * scale)
  if kind == 0:
    return whole.astype(np.float32)
  if kind == 1:
    return np.float32(whole) / np.float32(draw(st.sampled_from([3, 10, 64, 100, 256])))
  if kind == 2:
    return np.repeat(np.float32(whole), 7)[:rows]
  if kind == 3:
    return np.where(random.random(rows) < 0.9, 0, random.standard_normal(rows)).astype(np.float32)
  return random.integers(0, 1 << 32, rows, np.uint32).view(np.float32)


@settings(max_examples=60, deadline=None)
@given(_blocks())
def test_every_bit_comes_back(arrays):
  dtype = tf.float32 if arrays[0][0].itemsize == 4 else tf.bfloat16
  found = _decoded(arrays, dtype).numpy()
  expected = np.concatenate([values.T for values, _ in arrays])
  bits = np.uint32 if dtype is tf.float32 else np.uint16
  np.testing.assert_array_equal(found.view(bits), expected.view(bits))

"""Float columns in few bytes: each column of a block gets the code that suits its values.

Features are seldom what floats are made for: counts are whole numbers, others go in steps of 1/64
or 0.01, many are mostly zero or the same for all candidates of a request. A column [rows] of a
block has one of these codes, which a few stock operations of TensorFlow undo for all columns of a
code at once:

* CONSTANT, NIBBLE, BYTE, TWELVE_BITS, TWO_BYTES: (step + base) / divisor in float32, with a base
  and a divisor a column; steps are whole numbers of 0, 4, 8, 12 or 16 bits. Values that this does
  not give back to the last bit are listed as exceptions.
* SMALL_BYTE: BYTE, in a zlib stream; so are the higher bytes of TWO_BYTES.
* SEGMENTS: columns that change in the same rows only, or in some of them: a value a segment.
* RAW: the values as they are. REPEATED: the same in a zlib stream.
* PLANES: byte by byte, the highest one (sign and exponent) in a zlib stream.

Narrow steps with exceptions are "patched frame of reference" codes: Zukowski et al., Super-Scalar
RAM-CPU Cache Compression, ICDE 2006. `tfrecords.packed.column_decoding` undoes all of this.
"""

import zlib

import numpy as np

from tfrecords.packed.column_steps import Steps

CODES = range(10)
CONSTANT, NIBBLE, BYTE, SMALL_BYTE, TWELVE_BITS, TWO_BYTES, SEGMENTS, RAW, REPEATED, PLANES = CODES
# How many whole numbers a step can be.
_WINDOWS = {
  CONSTANT: 1,
  NIBBLE: 1 << 4,
  BYTE: 1 << 8,
  SMALL_BYTE: 1 << 8,
  TWELVE_BITS: 1 << 12,
  TWO_BYTES: 1 << 16,
}

# The strings that are zlib streams; they come last.
SQUEEZED = (
  "codes",
  "divisors",
  "segment_of_rows",
  "repeated",
  "small_bytes",
  "high_of_16",
  "highest_plane",
)

_LEVEL = 6
# What an exception costs beside its value: four bytes of its place, and time worth as many again
# twice.
_PRICE_OF_EXCEPTION = 12


def string_names(size: int) -> tuple[str, ...]:
  """Returns what each string is that `encode` makes of values of so many bytes, in their order."""
  return (
    "bases",
    "exception_places",
    "exceptions",
    "segments",
    "raw",
    "nibbles",
    "high_of_12",
    "bytes",
    "low_of_12",
    "low_of_16",
    *(f"plane_{number}" for number in range(size - 1)),
    *SQUEEZED,
  )


def encode(values: np.ndarray, price: float) -> list[bytes]:
  """Returns the strings of an array; docs/packed_records.md says what is in each.

  Args:
    values: [rows, width], float32, or for bfloat16 uint16 that holds its bits.
    price: what it costs to decompress a byte, in bytes of the file, when codes are chosen.
  """
  little_endian = values.dtype.newbyteorder("<")
  columns = np.ascontiguousarray(values.T).astype(little_endian, copy=False)
  return _Encoder(columns, price).strings()


def squeezed(content: np.ndarray, strategy: int = zlib.Z_RLE) -> bytes:
  """Returns an array's bytes as a zlib stream.

  Run lengths and Huffman codes make bytes of a kind smaller than a search for repeated strings.
  """
  stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
  return stream.compress(content.tobytes()) + stream.flush()


class _Encoder:
  """The columns of a block, [width, rows]."""

  def __init__(self, columns: np.ndarray, price: float):
    self._columns, self._bits = columns, columns.view(f"<u{columns.itemsize}")
    self._of_bytes = columns.view(np.uint8).reshape(*columns.shape, columns.itemsize)
    self._whole = Steps(_as_float32(columns))
    self._starts, self._has_segments = _segments(self._bits)
    self._base = np.zeros([len(CODES), len(columns)], np.float32)
    self._codes = self._costs(price).argmin(axis=0)

  def strings(self) -> list[bytes]:
    """Returns what `encode` does."""
    codes, size = self._codes, self._columns.itemsize
    base = self._base[codes, np.arange(len(codes))]
    window = np.array([_WINDOWS.get(code, 0) for code in CODES])[codes, np.newaxis]
    steps = self._whole.whole - base[:, np.newaxis]
    is_step = (steps >= 0) & (steps < window)
    exceptions = np.flatnonzero(~is_step & (window > 0))
    steps = np.where(is_step, steps, 0).astype(np.uint16)
    low, high = (steps & 0xFF).astype(np.uint8), (steps >> 8).astype(np.uint8)
    segments = self._columns[codes == SEGMENTS][:, self._starts]
    planes = self._of_bytes[codes == PLANES]
    strings = {
      "bases": base.astype("<f4").tobytes(),
      "exception_places": exceptions.astype("<i4").tobytes(),
      "exceptions": self._columns.ravel()[exceptions].tobytes(),
      "segments": segments.T.tobytes(),
      "raw": self._columns[codes == RAW].tobytes(),
      "nibbles": _nibbles(low[codes == NIBBLE]),
      "high_of_12": _nibbles(high[codes == TWELVE_BITS]),
      "bytes": low[codes == BYTE].tobytes(),
      "low_of_12": low[codes == TWELVE_BITS].tobytes(),
      "low_of_16": low[codes == TWO_BYTES].tobytes(),
      **{f"plane_{number}": planes[..., number].tobytes() for number in range(size - 1)},
      "codes": squeezed(codes.astype(np.uint8)),
      "divisors": squeezed(self._whole.divisor.astype("<f4")),
      "segment_of_rows": squeezed(self._segment_of_rows()),
      "repeated": squeezed(self._columns[codes == REPEATED], zlib.Z_DEFAULT_STRATEGY),
      "small_bytes": squeezed(low[codes == SMALL_BYTE]),
      "high_of_16": squeezed(high[codes == TWO_BYTES]),
      "highest_plane": squeezed(planes[..., -1]),
    }
    return [strings[name] for name in string_names(size)]

  def _segment_of_rows(self) -> np.ndarray:
    lengths = np.diff(np.append(self._starts, self._columns.shape[1]))
    return np.repeat(np.arange(len(lengths), dtype="<i4"), lengths)

  def _costs(self, price: float) -> np.ndarray:
    """Returns about what each code costs, in bytes, [codes, width]."""
    width, rows = self._columns.shape
    size, inflated = self._columns.itemsize, price * rows
    costs = np.full([len(CODES), width], np.inf)
    for code, bits in {CONSTANT: 0, NIBBLE: 4, BYTE: 8, TWELVE_BITS: 12, TWO_BYTES: 8}.items():
      self._base[code], exceptions = self._whole.window(_WINDOWS[code])
      costs[code] = rows * bits / 8 + exceptions * (_PRICE_OF_EXCEPTION + size)
    self._base[SMALL_BYTE] = self._base[BYTE]
    costs[SMALL_BYTE] = costs[BYTE] - rows + self._entropy(SMALL_BYTE, 0) + inflated
    costs[TWO_BYTES] += self._entropy(TWO_BYTES, 8) + inflated
    costs[SEGMENTS, self._has_segments] = len(self._starts) * size
    costs[RAW] = size * rows
    changes = 1 + (self._bits[:, 1:] != self._bits[:, :-1]).sum(axis=1)
    costs[REPEATED] = changes * size + inflated
    costs[PLANES] = (size - 1) * rows + _entropy(self._of_bytes[:, :, -1]) + inflated
    return costs

  def _entropy(self, code: int, shift: int) -> np.ndarray:
    steps = self._whole.whole - self._base[code, :, np.newaxis]
    is_step = (steps >= 0) & (steps < _WINDOWS[code])
    return _entropy(np.where(is_step, steps, 0).astype(np.int64) >> shift)


def _segments(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the first rows of segments, and which columns [width] change nowhere else.

  The segments are those of most of the columns that change seldom; one segment if there are none.
  """
  rows = bits.shape[1]
  changes = bits[:, 1:] != bits[:, :-1]
  counts = changes.sum(axis=1)
  slow = np.packbits(changes[(counts > 0) & (counts <= rows // 4)], axis=1)
  if not slow.size:
    return np.zeros(1, np.int64), counts == 0
  patterns, times = np.unique(slow, axis=0, return_counts=True)
  pattern = np.unpackbits(patterns[times.argmax()], count=rows - 1).astype(bool)
  return np.flatnonzero(np.append(True, pattern)), ~(changes & ~pattern).any(axis=1)


def _entropy(values: np.ndarray) -> np.ndarray:
  """Returns how many bytes an ideal code takes for each row of bytes [width, rows]."""
  width, rows = values.shape
  numbers = values + (np.arange(width, dtype=np.int64)[:, np.newaxis] << 8)
  counts = np.bincount(numbers.ravel(), minlength=width << 8).reshape(width, 1 << 8)
  return (counts * np.log2(rows / np.maximum(counts, 1))).sum(axis=1) / 8


def _nibbles(values: np.ndarray) -> bytes:
  """Returns two values a byte: the first half of each row [width, rows] in the low four bits."""
  half = -(-values.shape[1] // 2)
  packed = values[:, :half].copy()
  packed[:, : values.shape[1] - half] |= values[:, half:] << 4
  return packed.tobytes()


def _as_float32(columns: np.ndarray) -> np.ndarray:
  if columns.itemsize == 4:
    return columns
  return (columns.astype(np.uint32) << 16).view(np.float32)

"""Where in any bytes a record could begin: every offset is tried at once, by the header's checksum.

A CRC is affine in the bits it is made of, so that the checksums of the 8 bytes at all offsets are a
few table look-ups in NumPy.
"""

import functools

import numpy as np
from crc32c import crc32c

from tfrecords.record_format import HEADER_BYTES, MASK_DELTA

# Lengths from 4 GiB on are taken for no header, which spares most offsets the look-ups.
_LENGTH_BYTES_IN_USE = 4
_LENGTH_BYTES = 8


def header_offsets(content: bytes) -> np.ndarray:
  """Returns the offsets, int64 [n] rising, at which 12 bytes are a length with its checksum.

  Args:
    content: what to look through. An offset less than 12 bytes before its end is not found.
  """
  values = np.frombuffer(content, np.uint8)
  count = len(values) - HEADER_BYTES + 1
  if count < 1:
    return np.zeros([0], np.int64)
  high = np.zeros([count], np.uint8)
  for place in range(_LENGTH_BYTES_IN_USE, _LENGTH_BYTES):
    high |= values[place : place + count]
  offsets = np.flatnonzero(high == 0)
  constant, tables = _tables()
  found = np.full([len(offsets)], constant, np.uint32)
  for place, table in enumerate(tables):
    found ^= table[values[offsets + place]]
  found = ((found >> np.uint32(15)) | (found << np.uint32(17))) + np.uint32(MASK_DELTA)
  stored = np.zeros([len(offsets)], np.uint32)
  for place in range(HEADER_BYTES - _LENGTH_BYTES):
    stored |= values[offsets + _LENGTH_BYTES + place].astype(np.uint32) << np.uint32(8 * place)
  return offsets[found == stored]


@functools.cache
def _tables() -> tuple[int, np.ndarray]:
  """Returns the checksum of 8 zeros, and by place and byte value what it changes by."""
  zeros = bytes(_LENGTH_BYTES)
  constant = crc32c(zeros)
  tables = np.zeros([_LENGTH_BYTES_IN_USE, 256], np.uint32)
  for place in range(_LENGTH_BYTES_IN_USE):
    for value in range(256):
      changed = zeros[:place] + bytes([value]) + zeros[place + 1 :]
      tables[place, value] = crc32c(changed) ^ constant
  return constant, tables

"""The bytes of a TFRecord file: which compression, and whether it begins like one.

Layout of a record: length (8 bytes, little endian), masked CRC-32C of those 8 bytes (4 bytes),
data, masked CRC-32C of the data (4 bytes). See
https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import struct
import zlib
from typing import Optional

from tfrecords.errors import DataError

HEADER_BYTES = 12
# Enough compressed bytes to hold the first record's header, whatever the compressor's block size.
PREFIX_BYTES = 64 * 1024

_CRC_32C_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8


def compression_of(prefix: bytes, path: str) -> str:
  """Recognises a file's compression by its content rather than by its name.

  Args:
    prefix: the first bytes of the file, up to PREFIX_BYTES.
    path: the file, for the messages.

  Returns:
    "GZIP", "ZLIB" or "", as `tf.data.TFRecordDataset` takes it.

  Raises:
    DataError: the file is empty, holds no record, or is no TFRecord file.
  """
  if not prefix:
    raise DataError(f"{path}: the file is empty (0 bytes); remove it or write it again")
  if is_record_header(prefix[:HEADER_BYTES]):
    return ""
  for compression, window_bits in (("GZIP", 31), ("ZLIB", 15)):
    start = _decompress_start(prefix, window_bits)
    if start is None:
      continue
    if not start:
      raise DataError(
        f"{path}: the {compression.lower()} file holds no record; remove it or write it again"
      )
    if is_record_header(start):
      return compression
  raise DataError(
    f"{path}: no TFRecord file: neither plain, gzip nor zlib content begins with a record header "
    f"(found bytes {prefix[:HEADER_BYTES].hex()})"
  )


def is_record_header(header: bytes) -> bool:
  """Tells whether 12 bytes are a record's length with its matching checksum."""
  if len(header) < HEADER_BYTES:
    return False
  (checksum,) = struct.unpack("<I", header[8:12])
  return checksum == masked_crc_32c(header[:8])


def masked_crc_32c(data: bytes) -> int:
  """Returns the checksum TFRecord files use, a rotated CRC-32C (Castagnoli).

  Bit by bit in Python: meant for the 8 bytes of a header, not for whole records.
  """
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = (crc >> 1) ^ (_CRC_32C_POLYNOMIAL if crc & 1 else 0)
  crc ^= 0xFFFFFFFF
  return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _decompress_start(prefix: bytes, window_bits: int) -> Optional[bytes]:
  try:
    return zlib.decompressobj(window_bits).decompress(prefix, HEADER_BYTES)
  except zlib.error:
    return None

"""The bytes of a TFRecord file: which compression, and whether it begins like one.

Layout of a record: length (8 bytes, little endian), masked CRC-32C of those 8 bytes (4 bytes),
data, masked CRC-32C of the data (4 bytes). See
https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import struct
import zlib

from crc32c import crc32c

from tfrecords.errors import DataError

HEADER_BYTES = 12
CHECKSUM_BYTES = 4
# Enough compressed bytes to hold the first record's header, whatever the compressor's block size;
# and small files as a whole.
PREFIX_BYTES = 256 * 1024
# As zlib takes it, by compression.
WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}
# Added to the rotated checksum.
MASK_DELTA = 0xA282EAD8

_GZIP_MAGIC = b"\x1f\x8b"
_DECOMPRESSED_AT_ONCE = 1 << 20


def compression_of(prefix: bytes, path: str, is_whole: bool = False) -> str:
  """Recognises a file's compression by its content rather than by its name.

  Args:
    prefix: the first bytes of the file, up to PREFIX_BYTES.
    path: the file, for the messages.
    is_whole: `prefix` is all there is. Then a file that ends too early is found here, which
      matters where TensorFlow says nothing: it takes a cut in a record's header for the end.

  Returns:
    "GZIP", "ZLIB" or "", as `tf.data.TFRecordDataset` takes it.

  Raises:
    DataError: the file is empty, cut short, damaged, holds no record, or is no TFRecord file.
  """
  if not prefix:
    raise DataError(f"{path}: the file is empty (0 bytes); remove it or write it again")
  if is_record_header(prefix[:HEADER_BYTES]):
    if is_whole and _ends_in_header(prefix):
      raise _cut_short(path, "TFRecord")
    return ""
  for compression, window_bits in WINDOW_BITS.items():
    start, is_complete = _decompress_start(prefix, window_bits)
    if is_record_header(start):
      if is_whole and not _is_complete(prefix, compression):
        raise _cut_short(path, compression.lower())
      return compression
    if is_complete and not start:
      raise DataError(
        f"{path}: the {compression.lower()} file holds no record; remove it or write it again"
      )
    is_cut_short = len(start) < HEADER_BYTES and not is_complete
    if is_cut_short and compression == "GZIP" and prefix.startswith(_GZIP_MAGIC):
      raise _cut_short(path, compression.lower())
  raise DataError(
    f"{path}: no TFRecord file, or damaged in its first bytes: neither plain, gzip nor zlib "
    f"content begins with a record header (found bytes {prefix[:HEADER_BYTES].hex()}). Write it "
    "again or remove it"
  )


def _cut_short(path: str, kind: str) -> DataError:
  return DataError(f"{path}: the {kind} file is cut short or damaged; write it again or remove it")


def is_record_header(header: bytes) -> bool:
  """Tells whether 12 bytes are a record's length with its matching checksum."""
  if len(header) < HEADER_BYTES:
    return False
  (checksum,) = struct.unpack("<I", header[8:12])
  return checksum == masked_crc_32c(header[:8])


def masked_crc_32c(data: bytes) -> int:
  """Returns the checksum TFRecord files use, a rotated CRC-32C (Castagnoli)."""
  crc = crc32c(data)
  return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def _ends_in_header(content: bytes) -> bool:
  position = 0
  while len(content) - position >= HEADER_BYTES:
    (length,) = struct.unpack_from("<Q", content, position)
    position += HEADER_BYTES + length + CHECKSUM_BYTES
  return position < len(content)


def _decompress_start(prefix: bytes, window_bits: int) -> tuple[bytes, bool]:
  """Returns the first bytes, as many as there are of a header, and whether they are all."""
  stream = zlib.decompressobj(window_bits)
  try:
    return stream.decompress(prefix, HEADER_BYTES), stream.eof
  except zlib.error:
    return b"", False


def _is_complete(content: bytes, compression: str) -> bool:
  while content:
    stream = zlib.decompressobj(WINDOW_BITS[compression])
    try:
      while not stream.eof:
        output = stream.decompress(content, _DECOMPRESSED_AT_ONCE)
        content = stream.unconsumed_tail
        if not output and not content:
          return False
    except zlib.error:
      return False
    # A gzip file may hold several streams one after the other; TensorFlow reads one of zlib.
    content = stream.unused_data if compression == "GZIP" else b""
  return True

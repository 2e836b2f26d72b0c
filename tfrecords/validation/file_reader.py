"""The records of one file: by TensorFlow as long as nothing is wrong, else piece by piece.

TensorFlow's reader is fast and stops at damage, or takes it for the end of the file. So the bytes
it has read are held against the file's size, or what a gzip file says of its content's.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

import numpy as np
import tensorflow as tf

from tfrecords.errors import reason
from tfrecords.record_format import CHECKSUM_BYTES, HEADER_BYTES, is_record_header
from tfrecords.record_walk import Found, Status, walk

BATCH_RECORDS = 128
# Records are this large at most until there are fewer of them in a batch.
_BATCH_BYTES = 1 << 24
_PREFIX_BYTES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}
# A zlib stream says nothing of its content's size.
_KNOWN_SIZE = ("", "GZIP")


@dataclass(frozen=True)
class Batch:
  """Some records of a file.

  Attributes:
    serialized: their data, string [n].
    positions: their places in the file, from 0; damaged ones count, too. int64 [n].
    offsets: where they begin in the file's content, which is decompressed; int64 [n].
    share_read: how much of the file is behind them, in [0, 1], as far as that is known.
  """

  serialized: tf.Tensor
  positions: np.ndarray
  offsets: np.ndarray
  share_read: float


class DamagedError(Exception):
  """TensorFlow cannot read the file, and says why, or not all of it, and says nothing."""


def guess_compression(path: str) -> str:
  """Returns "GZIP", "ZLIB" or "", by the first bytes of a file, however damaged it is.

  Raises:
    tf.errors.OpError: the file cannot be read.
  """
  with tf.io.gfile.GFile(path, "rb") as file:
    prefix = file.read(_PREFIX_BYTES)
  if is_record_header(prefix[:HEADER_BYTES]):
    return ""
  for compression, window_bits in _WINDOW_BITS.items():
    try:
      start = zlib.decompressobj(window_bits).decompress(prefix, HEADER_BYTES)
    except zlib.error:
      continue
    if is_record_header(start) or (compression == "GZIP" and prefix.startswith(_GZIP_MAGIC)):
      return compression
  return "GZIP" if prefix.startswith(_GZIP_MAGIC) else ""


def read_quickly(path: str, compression: str, size: int) -> Iterator[Batch]:
  """Yields all records of an undamaged file.

  Args:
    path: on any file system TensorFlow knows.
    compression: "GZIP", "ZLIB" or "".
    size: the file's, in bytes.

  Raises:
    DamagedError: some of it cannot be read; what was yielded before is all right.
  """
  if compression not in _KNOWN_SIZE:
    raise DamagedError
  expected = size
  if compression:
    expected = _size_of_gzip_content(path, size)
  position = offset = 0
  records = tf.data.TFRecordDataset(path, compression_type=compression)
  try:
    for serialized in records.batch(BATCH_RECORDS).prefetch(2):
      lengths = tf.strings.length(serialized).numpy() + np.int64(HEADER_BYTES + CHECKSUM_BYTES)
      ends = offset + np.cumsum(lengths, dtype=np.int64)
      positions = position + np.arange(len(ends), dtype=np.int64)
      share = min(int(ends[-1]) / expected, 1.0) if expected else 1.0
      yield Batch(serialized, positions, ends - lengths, share)
      position, offset = position + len(ends), int(ends[-1])
  except tf.errors.OpError as error:
    raise DamagedError(reason(error)) from None
  is_whole = offset % (1 << 32) == expected if compression else offset == expected
  if not is_whole:
    raise DamagedError


def read_carefully(path: str, compression: str) -> Iterator[Union[Batch, tuple[int, Found]]]:
  """Yields the good records of a damaged file, in batches, and each damage with its position.

  Args:
    path: on any file system TensorFlow knows.
    compression: "GZIP", "ZLIB" or "".

  Raises:
    tf.errors.OpError: the file cannot be read.
  """
  position, pending, n_bytes = 0, [], 0
  for found in walk(path, compression):
    if found.status is Status.GOOD:
      pending.append((position, found))
      n_bytes += found.length
    else:
      yield position, found
    position += found.is_record
    if len(pending) == BATCH_RECORDS or n_bytes > _BATCH_BYTES:
      yield _batch(pending)
      pending, n_bytes = [], 0
  if pending:
    yield _batch(pending)


def _batch(pending: list[tuple[int, Found]]) -> Batch:
  return Batch(
    tf.constant([found.data for _, found in pending], tf.string),
    np.array([position for position, _ in pending], np.int64),
    np.array([found.offset for _, found in pending], np.int64),
    0.0,
  )


def _size_of_gzip_content(path: str, size: int) -> int:
  """Returns what the last four bytes say, the size modulo 2^32 of the last member's content."""
  with tf.io.gfile.GFile(path, "rb") as file:
    file.seek(max(size - 4, 0))
    end = file.read(4)
  return struct.unpack("<I", end)[0] if len(end) == 4 else 0

"""A walk over a record file that does not end at the first damage.

  for found in walk(path, compression):
    if found.status is Status.GOOD:
      example = tf.train.Example.FromString(found.data)
    else:
      print(found.offset, found.length, found.reason)

What is found lies side by side, in the order of the file: nothing of its content is passed over. A
record whose data does not match its checksum is left alone where the next record's header follows.
Where no header is, every further offset is tried until one has a header and data that match their
checksums (chance lets one in 2^64 through). Then a record that lies inside of another's data can be
taken for one, and how many records were lost cannot be known, only how many bytes.

TensorFlow's reader is the one for files without damage; this one is to look at the others.
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tfrecords.header_search import header_offsets
from tfrecords.record_format import CHECKSUM_BYTES, HEADER_BYTES, is_record_header, masked_crc_32c
from tfrecords.record_stream import Stretch, stretches

# A longer record is taken for a damaged length.
MAX_RECORD_BYTES = 1 << 28
# How far the next record is searched for before the rest of the content is given up.
MAX_SEARCH_BYTES = 1 << 26

_SEARCHED_AT_ONCE = 1 << 20
# Bytes that checksums of what turns out to be no record may read, for each byte of content and in
# all: without a bound, headers made for it would cost a file's length each.
_WASTED_PER_BYTE = 8
_WASTED_AT_FIRST = 1 << 28


class Status(enum.Enum):
  """What a piece of a record file is.

  GOOD: a record; both checksums match.
  BAD_DATA: a record whose data does not match its checksum, between good neighbours.
  LOST: bytes in which no record could be found.
  CUT_SHORT: the beginning of a record, at the end of the content.
  BAD_COMPRESSION: 0 bytes; the gzip or zlib stream is damaged or ends here. What follows, if
    anything does, comes from a later gzip member.
  """

  GOOD = "good"
  BAD_DATA = "bad_data"
  LOST = "lost"
  CUT_SHORT = "cut_short"
  BAD_COMPRESSION = "bad_compression"


@dataclass(frozen=True)
class Found:
  """A piece of a record file.

  Attributes:
    offset: where it begins in the content, which is the file decompressed, from 0.
    length: how many bytes it has, header and checksums included.
    status: what it is.
    reason: what is wrong with it, in words; empty for GOOD.
    data: a record's data, of GOOD and BAD_DATA; None otherwise.
  """

  offset: int
  length: int
  status: Status
  reason: str = ""
  data: Optional[bytes] = None

  @property
  def is_record(self) -> bool:
    """Whether it is a record, good or bad: those are what positions in a file count."""
    return self.status in (Status.GOOD, Status.BAD_DATA)


def walk(
  path: str, compression: str = "", max_search_bytes: int = MAX_SEARCH_BYTES
) -> Iterator[Found]:
  """Yields all there is in a record file, good and bad.

  Args:
    path: on any file system TensorFlow knows.
    compression: "GZIP", "ZLIB" or "", see `tfrecords.shards.Shard`.
    max_search_bytes: how far behind damage the next record is searched for; then the rest is LOST.

  Raises:
    tf.errors.OpError: the file cannot be opened or read.
  """
  offset = 0
  for stretch in stretches(path, compression):
    walked = _Walk(stretch, offset, max_search_bytes)
    yield from walked.pieces()
    offset = walked.offset
    if stretch.problem is not None:
      yield Found(offset, 0, Status.BAD_COMPRESSION, stretch.problem)


class _Walk:
  """One stretch of content; `offset` is how far it has come."""

  def __init__(self, stretch: Stretch, offset: int, max_search_bytes: int):
    self._stretch, self.offset, self._max_search_bytes = stretch, offset, max_search_bytes
    self._content = bytearray()  # From `offset` on, as far as it is needed.
    self._may_waste = _WASTED_AT_FIRST

  def pieces(self) -> Iterator[Found]:
    while self._has(1):
      yield self._next()

  def _next(self) -> Found:
    if not self._has(HEADER_BYTES):
      return self._found(len(self._content), Status.CUT_SHORT, "cut short within its header")
    data = self._data_at(0) if is_record_header(self._bytes(0, HEADER_BYTES)) else None
    if data is None:
      return self._search(1)
    length = HEADER_BYTES + len(data) + CHECKSUM_BYTES
    if self._matches(data, length):
      return self._found(length, Status.GOOD, "", data)
    self._may_waste -= length
    self._has(length + HEADER_BYTES)
    following = self._bytes(length, HEADER_BYTES)
    if not following or is_record_header(following):
      return self._found(length, Status.BAD_DATA, "its data does not match its checksum", data)
    return self._search(HEADER_BYTES)

  def _search(self, start: int) -> Found:
    """Takes all up to the next good record, tried from `start` bytes from here on."""
    is_cut_short = is_record_header(self._bytes(0, HEADER_BYTES))
    while start < self._max_search_bytes:
      self._has(start + _SEARCHED_AT_ONCE)
      window = self._bytes(start, _SEARCHED_AT_ONCE)
      for place in header_offsets(window).tolist():
        data = self._data_at(start + place)
        if data is None:
          continue
        if self._matches(data, start + place + HEADER_BYTES + len(data) + CHECKSUM_BYTES):
          return self._found(start + place, Status.LOST, "no record can be found in it")
        self._may_waste -= HEADER_BYTES + len(data)
        if self._may_waste <= 0:
          return self._rest()
      if len(window) < _SEARCHED_AT_ONCE:
        if is_cut_short:
          return self._found(len(self._content), Status.CUT_SHORT, "cut short within its data")
        return self._found(len(self._content), Status.LOST, "no record can be found in it")
      start += _SEARCHED_AT_ONCE - HEADER_BYTES + 1
    return self._rest()

  def _rest(self) -> Found:
    length = 0
    while self._has(1):
      length += len(self._content)
      self._content.clear()
    offset, self.offset = self.offset, self.offset + length
    return Found(offset, length, Status.LOST, "the search for the next record was given up")

  def _data_at(self, place: int) -> Optional[bytes]:
    """Returns the data behind the header that stands there, or None if there is not so much."""
    (length,) = struct.unpack("<Q", self._bytes(place, 8))
    end = place + HEADER_BYTES + length
    if length > MAX_RECORD_BYTES or not self._has(end + CHECKSUM_BYTES):
      return None
    return self._bytes(place + HEADER_BYTES, length)

  def _matches(self, data: bytes, end: int) -> bool:
    (checksum,) = struct.unpack("<I", self._bytes(end - CHECKSUM_BYTES, CHECKSUM_BYTES))
    return checksum == masked_crc_32c(data)

  def _found(self, length: int, status: Status, reason: str, data: Optional[bytes] = None) -> Found:
    offset, self.offset = self.offset, self.offset + length
    del self._content[:length]
    self._may_waste += _WASTED_PER_BYTE * length
    return Found(offset, length, status, reason, data)

  def _bytes(self, start: int, length: int) -> bytes:
    with memoryview(self._content) as content:
      return bytes(content[start : start + length])

  def _has(self, size: int) -> bool:
    """Reads until there are so many bytes; returns whether there are."""
    while len(self._content) < size:
      more = self._stretch.read()
      if not more:
        return False
      self._content += more
    return True

"""A record file's content, decompressed, as far as it can be had.

Between two stretches lies damage of the compression: the first is all that could be decompressed up
to it, the next begins with a later gzip member, in files that are several of them put together. An
uncompressed file is one stretch.
"""

import zlib
from collections.abc import Iterator
from typing import Callable, Optional

import tensorflow as tf

from tfrecords.record_format import HEADER_BYTES, WINDOW_BITS, is_record_header

READ_BYTES = 1 << 20
# What one piece of a stretch holds at most, however well it was compressed.
PIECE_BYTES = 1 << 22

_GZIP_MEMBER = b"\x1f\x8b\x08"
# So much of a member is enough to decompress a record's header.
_MEMBER_START_BYTES = 1 << 12
# How many places of a file may look like a member and be none.
_MEMBER_TRIES = 1 << 16


class Stretch:
  """Content without a gap.

  Args:
    pieces: yields the content; leaves in `problem` of the stretch it is given what ends it early.

  Attributes:
    problem: once all is read, why it did not go on; None at a good end.
  """

  def __init__(self, pieces: Callable[["Stretch"], Iterator[bytes]]):
    self.problem: Optional[str] = None
    self._pieces = pieces(self)

  def read(self) -> bytes:
    """Returns the next bytes, at most PIECE_BYTES; none at the end of the stretch."""
    return next(self._pieces, b"")


def stretches(path: str, compression: str) -> Iterator[Stretch]:
  """Yields the stretches of a file; each has to be read to its end before the next.

  Args:
    path: on any file system TensorFlow knows.
    compression: "GZIP", "ZLIB" or "".

  Raises:
    tf.errors.OpError: the file cannot be opened or read.
  """
  with tf.io.gfile.GFile(path, "rb") as file:
    if not compression:
      yield Stretch(lambda _: iter(lambda: file.read(PIECE_BYTES), b""))
      return
    compressed = _Compressed(file, WINDOW_BITS[compression], compression == "GZIP")
    while True:
      stretch = Stretch(compressed.pieces)
      yield stretch
      if stretch.problem is None or not compressed.go_to_next_member():
        return


class _Compressed:
  """Decompresses member after member, and finds the next one behind damage."""

  def __init__(self, file: tf.io.gfile.GFile, window_bits: int, has_members: bool):
    self._file, self._window_bits, self._has_members = file, window_bits, has_members
    # Compressed bytes not yet decompressed; behind damage those from the bad piece on.
    self._pending = b""
    self._tries_left = _MEMBER_TRIES

  def pieces(self, stretch: Stretch) -> Iterator[bytes]:
    """Yields what can be decompressed from here on; leaves in `stretch` what ends it early."""
    while self._fill():
      stream = zlib.decompressobj(self._window_bits)
      while not stream.eof:
        if not self._fill():
          stretch.problem = f"the {self._name} stream is cut short"
          return
        before = stream.copy()
        try:
          piece = stream.decompress(self._pending, PIECE_BYTES)
        except zlib.error as error:
          stretch.problem = f"the {self._name} stream is damaged ({error})"
          yield from _up_to_damage(before, self._pending)
          return
        self._pending = stream.unused_data if stream.eof else stream.unconsumed_tail
        if piece:
          yield piece
      if not self._has_members:  # As TensorFlow does, which reads one stream of zlib.
        return

  def go_to_next_member(self) -> bool:
    """Moves to where a gzip member begins that holds a record from its first byte on."""
    if not self._has_members:
      return False
    # The bad piece begins behind the member's own header, or with it where that is damaged.
    start = 1
    while self._fill(start + READ_BYTES):
      found = self._pending.find(_GZIP_MEMBER, start)
      if found >= 0 and self._tries_left > 0:
        self._tries_left -= 1
        self._fill(found + _MEMBER_START_BYTES)
        beginning = self._pending[found : found + _MEMBER_START_BYTES]
        if is_record_header(_start_of_member(beginning, self._window_bits)):
          self._pending = self._pending[found:]
          return True
        start = found + 1
      elif found >= 0 or len(self._pending) < start + READ_BYTES:
        return False
      else:
        self._pending, start = self._pending[-len(_GZIP_MEMBER) + 1 :], 0
    return False

  @property
  def _name(self) -> str:
    return "gzip" if self._has_members else "zlib"

  def _fill(self, size: int = 1) -> bool:
    """Has so many bytes pending, as far as there are; returns whether there are any."""
    while len(self._pending) < size:
      more = self._file.read(READ_BYTES)
      if not more:
        break
      self._pending += more
    return bool(self._pending)


def _up_to_damage(stream: "zlib._Decompress", compressed: bytes) -> Iterator[bytes]:
  # What decompresses before the error is lost with the call that fails: so a byte at a time.
  for position in range(len(compressed)):
    try:
      piece = stream.decompress(compressed[position : position + 1])
    except zlib.error:
      return
    if piece:
      yield piece


def _start_of_member(compressed: bytes, window_bits: int) -> bytes:
  try:
    return zlib.decompressobj(window_bits).decompress(compressed, HEADER_BYTES)
  except zlib.error:
    return b""

"""Reading a request's body: how large it may be, compressed or not, and how many at a time."""

import contextlib
import threading
import time
import zlib
from collections.abc import Iterator

from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wrappers import Request

from heavy_ranker.serving.server.request_errors import Code, RequestError

# What deflate can make of a byte at most.
_LARGEST_RATIO = 1032
_GZIP_WINDOW = 31


class BodyReader:
  """Reads bodies, and bounds what all that are worked on at one time take.

  A number takes up to ten times its text while JSON is parsed. Two of the largest bodies go at
  the same time, or many small ones; the others wait, which costs little since only one thread
  of Python runs anyway.

  Args:
    max_bytes: of a body, also of a compressed one's content.
  """

  def __init__(self, max_bytes: int):
    self._max_bytes = max_bytes
    self._free = 2 * max_bytes
    self._changed = threading.Condition()

  @contextlib.contextmanager
  def read(self, request: Request, deadline: float) -> Iterator[bytes]:
    """Yields the body; its memory counts until the block ends.

    Args:
      request: with or without `Content-Encoding: gzip`.
      deadline: as time.monotonic() counts.

    Raises:
      RequestError: no gzip; RESOURCE_EXHAUSTED if the turn did not come in time.
      HTTPException: 413 for a body that is too large, 415 for another encoding.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
      raise UnsupportedMediaType(f"Content-Encoding: found {encoding!r}, allowed: gzip")
    length = request.content_length or 0
    if length > self._max_bytes:
      raise RequestEntityTooLarge(f"the body: found {length} bytes, {self._allowed()}")
    size = min(self._max_bytes, length * _LARGEST_RATIO) if encoding == "gzip" else length
    with self._reserved(size, deadline):
      body = request.stream.read()
      yield self._decompressed(body) if encoding == "gzip" else body

  @contextlib.contextmanager
  def _reserved(self, size: int, deadline: float) -> Iterator[None]:
    with self._changed:
      seconds = max(0.0, deadline - time.monotonic())
      if not self._changed.wait_for(lambda: self._free >= size, seconds):
        raise RequestError(
          Code.RESOURCE_EXHAUSTED, "too many large bodies at a time; try again later"
        )
      self._free -= size
    try:
      yield
    finally:
      with self._changed:
        self._free += size
        self._changed.notify_all()

  def _decompressed(self, body: bytes) -> bytes:
    parts, room = [], self._max_bytes
    while True:
      member = zlib.decompressobj(_GZIP_WINDOW)
      try:
        parts.append(member.decompress(body, room + 1))
      except zlib.error as error:
        raise RequestError(Code.INVALID_ARGUMENT, f"the body: no gzip: {error}") from None
      room -= len(parts[-1])
      if room < 0:
        raise RequestEntityTooLarge(f"the body: more than that after gzip, {self._allowed()}")
      if not member.eof:
        raise RequestError(Code.INVALID_ARGUMENT, "the body: gzip that ends too early")
      body = member.unused_data
      if not body:
        return b"".join(parts)

  def _allowed(self) -> str:
    return f"allowed: {self._max_bytes}"

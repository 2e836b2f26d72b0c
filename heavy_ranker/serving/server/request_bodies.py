"""Reading a request's body: how large it may be, compressed or not, and how many at a time."""

import gzip
import io
import time
import zlib
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wrappers import Request

from heavy_ranker.serving.server.request_errors import Code, RequestError

_LARGE = 2**20
# What deflate can make of a byte at most.
_LARGEST_RATIO = 1032
_LARGE_AT_A_TIME = 2
_Parsed = TypeVar("_Parsed")


class BodyReader:
  """Reads bodies, large ones on two threads of its own.

  A number takes up to ten times its text while JSON is parsed, and the C library keeps much of
  that for the thread that had it. So the memory is that of two large bodies, however many
  requests there are. The others wait, which costs little: one thread of Python runs at a time.

  Args:
    max_bytes: of a body, also of a compressed one's content.
  """

  def __init__(self, max_bytes: int):
    self._max_bytes = max_bytes
    self._large = futures.ThreadPoolExecutor(_LARGE_AT_A_TIME, "rest-body")

  def read(self, request: Request, parse: Callable[[bytes], _Parsed], deadline: float) -> _Parsed:
    """Returns what the body means.

    Args:
      request: with or without `Content-Encoding: gzip`.
      parse: gets the body.
      deadline: as time.monotonic() counts.

    Raises:
      RequestError: no gzip; DEADLINE_EXCEEDED; whatever `parse` raises.
      HTTPException: 413 for a body that is too large, 415 for another encoding.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
      raise UnsupportedMediaType(f"Content-Encoding: found {encoding!r}, allowed: gzip")
    is_packed = encoding == "gzip"
    length = request.content_length or 0
    if length > self._max_bytes:
      raise RequestEntityTooLarge(f"the body: found {length} bytes, {self._allowed()}")

    def run() -> _Parsed:
      body = request.stream.read()
      return parse(self._unpacked(body) if is_packed else body)

    if length * (_LARGEST_RATIO if is_packed else 1) <= _LARGE:
      return run()
    return _result(self._large.submit(run), deadline)

  def close(self) -> None:
    """Ends the threads."""
    self._large.shutdown(wait=False)

  def _unpacked(self, body: bytes) -> bytes:
    try:
      with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        content = file.read(self._max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
      raise RequestError(Code.INVALID_ARGUMENT, f"the body: no gzip: {error}") from None
    if len(content) > self._max_bytes:
      raise RequestEntityTooLarge(f"the body: more than that after gzip, {self._allowed()}")
    return content

  def _allowed(self) -> str:
    return f"allowed: {self._max_bytes}"


def _result(future: "futures.Future[_Parsed]", deadline: float) -> _Parsed:
  try:
    return future.result(max(0.0, deadline - time.monotonic()))
  except futures.TimeoutError:
    future.cancel()
    raise RequestError(
      Code.DEADLINE_EXCEEDED,
      "the deadline has passed before the body was read; large bodies take turns",
    ) from None

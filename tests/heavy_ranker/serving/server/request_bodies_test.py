"""Large bodies take turns, so that their memory is bounded."""

import gzip
import io
import threading
import time

import pytest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from heavy_ranker.serving.server.request_bodies import BodyReader
from heavy_ranker.serving.server.request_errors import Code, RequestError

LIMIT = 2**21
LARGE = b"x" * LIMIT


def _request(body, **environ):
  environ = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), **environ}
  return Request({**environ, "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http"})


@pytest.fixture
def reader():
  reader = BodyReader(LIMIT)
  yield reader
  reader.close()


def _read(reader, body, parse=len, seconds=20.0, **environ):
  return reader.read(_request(body, **environ), parse, time.monotonic() + seconds)


def test_a_third_large_body_waits_for_its_turn(reader):
  may_end, running = threading.Event(), threading.Semaphore(0)
  results = []

  def parse(body):
    running.release()
    may_end.wait(20)
    return len(body)

  threads = [
    threading.Thread(target=lambda: results.append(_read(reader, LARGE, parse))) for _ in range(2)
  ]
  for thread in threads:
    thread.start()
    running.acquire(timeout=10)
  with pytest.raises(RequestError, match="take turns") as error:
    _read(reader, LARGE, seconds=0.05)
  assert error.value.code == Code.DEADLINE_EXCEEDED
  assert _read(reader, b"small") == 5
  may_end.set()
  for thread in threads:
    thread.join(10)
  assert results == [LIMIT, LIMIT]
  assert _read(reader, LARGE) == LIMIT


def test_errors_come_through(reader):
  def refuse(body):
    raise RequestError(Code.INVALID_ARGUMENT, f"{len(body)} bytes")

  for body in (b"xx", LARGE):
    with pytest.raises(RequestError, match=f"{len(body)} bytes"):
      _read(reader, body, refuse)


def test_gzip_of_many_members(reader):
  body = gzip.compress(b"ab") * 20_000
  assert _read(reader, body, bytes, HTTP_CONTENT_ENCODING="gzip") == b"ab" * 20_000


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_beyond_the_limit(reader, packed):
  body = gzip.compress(LARGE + b"x") if packed else LARGE + b"x"
  environ = {"HTTP_CONTENT_ENCODING": "gzip"} if packed else {}
  with pytest.raises(RequestEntityTooLarge, match=f"allowed: {LIMIT}"):
    _read(reader, body, **environ)

"""Bodies that are worked on at one time are bounded."""

import io
import threading
import time

import pytest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from heavy_ranker.serving.server.request_bodies import BodyReader
from heavy_ranker.serving.server.request_errors import Code, RequestError


def _request(body, **environ):
  environ = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), **environ}
  return Request({**environ, "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http"})


def test_a_third_large_body_waits_for_its_turn():
  reader = BodyReader(10)
  request, end = _request(b"x" * 10), time.monotonic() + 20
  third = []

  def read():
    with reader.read(request, end) as body:
      third.append(body)

  thread = threading.Thread(target=read)
  with reader.read(_request(b"a" * 10), end), reader.read(_request(b"b" * 10), end):
    thread.start()
    thread.join(0.1)
    assert not third
    with pytest.raises(RequestError) as error, reader.read(_request(b"c"), time.monotonic()):
      pass
    assert error.value.code == Code.RESOURCE_EXHAUSTED
  thread.join(10)
  assert third == [b"x" * 10]


def test_a_failed_body_gives_its_room_back():
  reader, end = BodyReader(10), time.monotonic() + 20
  for _ in range(5):
    with (
      pytest.raises(RequestError),
      reader.read(_request(b"x" * 10, HTTP_CONTENT_ENCODING="gzip"), end),
    ):
      pass
  with reader.read(_request(b"a" * 10), time.monotonic()) as body:
    assert body == b"a" * 10


def test_a_body_beyond_the_limit():
  body = BodyReader(10).read(_request(b"x" * 11), time.monotonic())
  with pytest.raises(RequestEntityTooLarge, match="found 11 bytes, allowed: 10"), body:
    pass

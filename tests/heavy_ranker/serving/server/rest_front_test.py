"""The REST API over a real socket, with a manager that is made up."""

import gzip
import http.client
import json
import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.serving.server import json_columns, page_content, rest_front
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.settings import ANY_PORT, ServerSettings
from tests.heavy_ranker.serving.server.fake_manager import FakeManager, FakeTelemetry
from tfrecords.errors import StorageError

BAZEL_SIZE = "medium"

MAX_BYTES = 2**20
PREDICT = "/v1/models/ranker:predict"
COLUMNS = {"inputs": {"continuous": [[1, 2.5, 3], [4, 5, 6]], "ids": [7, 8]}}


class Rest:
  """A server, and a client of it."""

  def __init__(self, manager, telemetry, **options):
    self.manager, self.telemetry = manager, telemetry
    options = {"rest_api_port": ANY_PORT, "max_request_bytes": MAX_BYTES, **options}
    self.settings = ServerSettings(**options)
    self.server = rest_front.make_rest_server(manager, telemetry, self.settings)
    self.server.start()

  def send(self, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
    try:
      connection.request(method, path, body, headers or {})
      response = connection.getresponse()
      return response.status, response.headers, response.read()
    finally:
      connection.close()

  def json(self, method, path, body=None, headers=None):
    body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    status, found, content = self.send(method, path, body, headers)
    assert found["Content-Type"] == "application/json"
    return status, json.loads(content)

  def raw(self, content):
    with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
      connection.sendall(content)
      connection.shutdown(socket.SHUT_WR)
      answer = b""
      while True:
        part = connection.recv(2**16)
        if not part:
          return answer
        answer += part


@pytest.fixture
def make_rest(request):
  def make(**options):
    rest = Rest(FakeManager(), FakeTelemetry(), **options)
    request.addfinalizer(lambda: rest.server.stop(0))
    return rest

  return make


@pytest.fixture(scope="module")
def shared():
  rest = Rest(FakeManager(), FakeTelemetry())
  yield rest
  rest.server.stop(0)


@pytest.fixture
def rest(shared):
  shared.manager.__init__()
  shared.telemetry.__init__()
  return shared


@pytest.mark.parametrize(
  "path",
  [
    PREDICT,
    "/v1/models/ranker/versions/3:predict",
    "/v1/models/ranker/labels/stable:predict",
    "/V1/Models/ranker/Versions/3:Predict",
    "/v1/models/r%61nker:predict?x=1",
  ],
)
def test_predicts_columns(rest, path):
  status, answer = rest.json("POST", path, COLUMNS)
  assert (status, answer) == (200, {"outputs": {"score": [6.5, 15.0], "twice": [14, 16]}})
  assert rest.telemetry.requests == [("ranker", "serving_default", "rest", "OK", 2)]
  assert rest.manager.in_use == 0


def test_predicts_rows(rest):
  rows = [{"continuous": [1, 2.5, 3], "ids": 7}, {"continuous": [4, 5, 6], "ids": 8}]
  status, answer = rest.json("POST", PREDICT, {"instances": rows})
  assert status == 200
  assert answer == {"predictions": [{"score": 6.5, "twice": 14}, {"score": 15.0, "twice": 16}]}


def test_predicts_strings_without_names(rest):
  body = {"signature_name": "score_examples", "instances": [{"b64": "AAECAw=="}, "ä"]}
  assert rest.json("POST", PREDICT, body) == (200, {"predictions": [4, 2]})
  assert rest.telemetry.requests == [("ranker", "score_examples", "rest", "OK", 2)]


def test_large_bodies_go_through_the_fast_reader(rest, monkeypatch):
  read = []
  parse = json_columns.parse
  monkeypatch.setattr(json_columns, "parse", lambda *args: read.append(parse(*args)) or read[-1])
  continuous = np.random.default_rng(0).standard_normal((9000, 3)).astype(np.float32)
  body = {"inputs": {"continuous": continuous.tolist(), "ids": list(range(9000))}}
  status, answer = rest.json("POST", PREDICT, body)
  assert status == 200 and read[0] is not None
  np.testing.assert_array_equal(np.float32(answer["outputs"]["score"]), continuous.sum(axis=1))


def test_chunked_and_compressed_bodies(rest):
  body = json.dumps(COLUMNS).encode()
  expected = rest.json("POST", PREDICT, body)
  assert rest.json("POST", PREDICT, iter([body[:10], body[10:]]))[0] == 200
  packed = gzip.compress(body[:10]) + gzip.compress(body[10:])
  assert rest.json("POST", PREDICT, packed, {"Content-Encoding": "gzip"}) == expected


def test_the_deadline_is_passed_on(rest):
  rest.json("POST", PREDICT, COLUMNS)
  assert rest.manager.version.calls[0][2] > 0


@pytest.mark.parametrize(
  ("body", "headers", "status", "message"),
  [
    (b"", {}, 400, "found nothing"),
    (b"{", {}, 400, "no JSON"),
    (b'{"inputs": ' + b"[" * 100_000, {}, 400, "nested too deeply"),
    (b'{"inputs": {"ids": [1]}}', {}, 400, "missing input continuous"),
    (b'{"inputs": {"ids": [1], "continuous": [[1, 2]]}}', {}, 400, "input 'continuous'"),
    (b'{"signature_name": "x", "inputs": {}}', {}, 400, "signature_name: found"),
    (b"no gzip", {"Content-Encoding": "gzip"}, 400, "no gzip"),
    (gzip.compress(b"{}")[:-3], {"Content-Encoding": "gzip"}, 400, "no gzip"),
    (b"", {"Content-Encoding": "gzip"}, 400, "found nothing"),
    (gzip.compress(b" " * (MAX_BYTES + 1)), {"Content-Encoding": "gzip"}, 413, "after gzip"),
    (b"{}", {"Content-Encoding": "br"}, 415, "found 'br', allowed: gzip"),
  ],
)
def test_bodies_that_are_refused(rest, body, headers, status, message):
  found, answer = rest.json("POST", PREDICT, body, headers)
  assert found == status and list(answer) == ["error"]
  assert message in answer["error"]
  assert rest.manager.in_use == 0
  assert rest.telemetry.requests[0][3:] in [("INVALID_ARGUMENT", 0), ("INVALID_ARGUMENT", 1)]


@pytest.mark.parametrize(
  ("code", "status"),
  [
    (Code.NOT_FOUND, 404),
    (Code.RESOURCE_EXHAUSTED, Code.RESOURCE_EXHAUSTED.http_status),
    (Code.DEADLINE_EXCEEDED, 504),
    (Code.UNAVAILABLE, 503),
    (Code.INTERNAL, 500),
  ],
)
def test_the_models_errors_have_their_status(rest, code, status):
  rest.manager.version.failure = RequestError(code, "for a reason")
  assert rest.json("POST", PREDICT, COLUMNS) == (status, {"error": "for a reason"})
  assert rest.telemetry.requests[0][3] == code.name


def test_a_defect_is_told_without_details(rest):
  rest.manager.version.failure = ZeroDivisionError("secret")
  status, answer = rest.json("POST", PREDICT, COLUMNS)
  assert status == 500 and "secret" not in answer["error"]
  assert rest.telemetry.requests[0][3] == "INTERNAL"


@pytest.mark.parametrize(
  ("method", "path", "status", "message"),
  [
    ("POST", "/v1/models/other:predict", 404, "other"),
    ("POST", "/v1/models/ranker/versions/4:predict", 404, "version 4"),
    ("POST", "/v1/models/ranker/labels/canary:predict", 404, "canary"),
    ("POST", "/v1/models/ranker/versions/99999999999999999999:predict", 400, "version: found"),
    ("POST", "/v1/models/ranker:classify", 400, "method name tensorflow/serving/classify"),
    ("POST", "/v1/models/ranker:regress", 400, "method name tensorflow/serving/regress"),
    ("POST", "/v1/models/other:regress", 404, "other"),
    ("POST", "/v1/models/ranker:explain", 404, "Malformed request"),
    ("POST", "/v1/models/ranker/versions/x:predict", 404, "Malformed request"),
    ("POST", "/v1/models/ranker/versions/3/labels/stable:predict", 404, "Malformed request"),
    ("GET", "/v1/models/other", 404, "other"),
    ("GET", "/v1/models/ranker/versions/9", 404, "version 9"),
    ("GET", "/v1/models/ranker/labels/x", 404, "label 'x'"),
    ("GET", "/v1/models/other/metadata", 404, "other"),
    ("GET", "/v1/models", 400, "Missing model name in request; served: ranker"),
    ("GET", "/v1", 404, "Malformed request: GET /v1"),
    ("GET", "/../../etc/passwd", 404, "Malformed request"),
    ("GET", "/" + "x" * 5000, 404, "..."),
    ("GET", PREDICT, 405, "allowed: POST"),
    ("POST", "/v1/models/ranker", 405, "allowed: GET"),
    ("PUT", "/v1/models/ranker/metadata", 405, "allowed: GET"),
    ("DELETE", "/", 405, "allowed: GET"),
    ("POST", "/monitoring/prometheus/metrics", 405, "allowed: GET"),
  ],
)
def test_paths_and_methods_that_are_refused(rest, method, path, status, message):
  found, answer = rest.json(method, path, COLUMNS if method == "POST" else None)
  assert (found, list(answer)) == (status, ["error"])
  assert message in answer["error"] and len(answer["error"]) < 600


def test_status(rest):
  failed = {"error_code": "UNKNOWN", "error_message": "cannot be loaded"}
  ended = {"version": "2", "state": "END", "status": failed}
  status = {"error_code": "OK", "error_message": ""}
  served = {"version": "3", "state": "AVAILABLE", "status": status}
  for path, versions in [
    ("", [ended, served]),
    ("/versions/3", [served]),
    ("/versions/2", [ended]),
    ("/labels/stable", [served]),
  ]:
    found = rest.json("GET", f"/v1/models/ranker{path}")
    assert found == (200, {"model_version_status": versions})


@pytest.mark.parametrize("path", ["", "/versions/3", "/labels/stable"])
def test_metadata(rest, path):
  status, answer = rest.json("GET", f"/v1/models/ranker{path}/metadata")
  assert status == 200
  assert answer["model_spec"] == {"name": "ranker", "signature_name": "", "version": "3"}
  signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
  assert signature["method_name"] == "tensorflow/serving/predict"
  continuous = signature["inputs"]["continuous"]
  assert continuous["dtype"] == "DT_FLOAT" and continuous["name"] == "continuous:0"
  assert [dim["size"] for dim in continuous["tensor_shape"]["dim"]] == ["-1", "3"]
  assert continuous["tensor_shape"]["unknown_rank"] is False


def test_health(rest):
  assert rest.json("GET", "/healthz") == (200, {"status": "OK"})
  rest.manager.state = "LOADING"
  status, answer = rest.json("GET", "/healthz")
  assert status == 503 and "ranker" in answer["error"]


def test_metrics(rest):
  status, headers, content = rest.send("GET", "/monitoring/prometheus/metrics")
  assert (status, content) == (200, b"serving_requests_total 1.0\n")
  assert headers["Content-Type"].startswith("text/plain")


def test_metrics_where_the_monitoring_file_says(make_rest, tmp_path):
  file = tmp_path / "monitoring.config"
  file.write_text('prometheus_config { enable: true path: "/numbers" }')
  rest = make_rest(monitoring_config_file=str(file))
  assert rest.send("GET", "/numbers")[0] == 200
  assert rest.send("GET", "/monitoring/prometheus/metrics")[0] == 404
  file.write_text("prometheus_config { enable: false }")
  assert make_rest(monitoring_config_file=str(file)).send("GET", "/numbers")[0] == 404


def test_page(rest, tmp_path, monkeypatch):
  monkeypatch.setattr(page_content, "PAGE", tmp_path / "index.html")
  assert rest.json("GET", "/") == (404, {"error": "this server has no page"})
  page = '<p>ä<script type="application/json" id="config">{}</script>'
  page_content.PAGE.write_text(page, encoding="utf-8")
  config = json.dumps({"models": ["ranker"], "score": rest.manager.version.score})
  status, headers, content = rest.send("GET", "/")
  assert (status, content.decode()) == (200, page.replace("{}", config))
  assert b"weights" not in rest.send("GET", "/?model=other")[2]
  assert headers["Content-Type"] == "text/html; charset=utf-8"


def test_head_and_options(rest):
  for path in ("/healthz", "/v1/models/ranker", "/v1/models/ranker/metadata"):
    status, headers, content = rest.send("HEAD", path)
    assert (status, content) == (200, b"") and int(headers["Content-Length"]) > 0
  for path, allowed in [(PREDICT, "POST, OPTIONS"), ("/", "GET, HEAD, OPTIONS")]:
    status, headers, content = rest.send("OPTIONS", path, headers={"Origin": "http://elsewhere"})
    assert (status, content, headers["Allow"]) == (204, b"", allowed)
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_a_body_that_is_too_large_is_refused_before_it_comes(rest):
  head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n"
  answer = rest.raw(head.encode())
  assert answer.startswith(b"HTTP/1.1 413 ") and b'{"error": ' in answer
  chunk = b"%x\r\n%s\r\n" % (MAX_BYTES, b" " * MAX_BYTES)
  head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
  assert rest.raw(head.encode() + chunk * 2).startswith(b"HTTP/1.1 413 ")
  status, answer = rest.json("POST", PREDICT, b" " * 8 * MAX_BYTES)  # It is sent to its end.
  assert status == 413 and "Too Large" in answer["error"]
  assert rest.json("POST", PREDICT, b" " * MAX_BYTES)[0] == 400  # As large as allowed.


@settings(max_examples=60, deadline=None)
@given(
  st.sampled_from([b"", b"GET ", b"POST / HTTP/1.1\r\n", f"POST {PREDICT} HTTP/1.1\r\n".encode()]),
  st.binary(max_size=200),
)
def test_garbage_leaves_the_server_unharmed(shared, start, garbage):
  answer = shared.raw(start + garbage + b"\r\n\r\n")
  assert not answer or answer.split(b" ")[1][:1] in (b"2", b"4", b"5")
  assert b" 500 " not in answer.split(b"\r\n")[0]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30))
def test_random_paths_are_not_found(shared, path):
  head = f"GET /v1/models/ranker{path} HTTP/1.0\r\n\r\n"
  status = int(shared.raw(head.encode("latin-1")).split(b" ")[1])
  assert status in (200, 400, 404, 405)


def test_requests_go_in_parallel(make_rest):
  rest = make_rest()
  rest.manager.version.may_go_on.clear()
  answers = []
  threads = [
    threading.Thread(target=lambda: answers.append(rest.json("POST", PREDICT, COLUMNS)[0]))
    for _ in range(3)
  ]
  for thread in threads:
    thread.start()
  while len(rest.manager.version.calls) < 3:
    rest.manager.version.started.wait(1)
  assert rest.json("GET", "/healthz")[0] == 200
  rest.manager.version.may_go_on.set()
  for thread in threads:
    thread.join()
  assert answers == [200] * 3


def test_stop_lets_requests_finish(make_rest):
  rest = make_rest()
  rest.manager.version.may_go_on.clear()
  answers = []
  body = json.dumps(COLUMNS)
  client = threading.Thread(target=lambda: answers.append(rest.send("POST", PREDICT, body)))
  client.start()
  rest.manager.version.started.wait(10)
  stop = threading.Thread(target=rest.server.stop, args=(20,))
  stop.start()
  stop.join(0.2)
  assert stop.is_alive()
  rest.manager.version.may_go_on.set()
  stop.join(10)
  client.join(10)
  assert not stop.is_alive() and answers[0][0] == 200
  assert answers[0][1]["Connection"] == "close"
  with pytest.raises(ConnectionRefusedError):
    socket.create_connection(("127.0.0.1", rest.server.port), timeout=5)
  rest.server.stop()  # Again, which does nothing.


def test_stop_without_start():
  settings = ServerSettings(rest_api_port=ANY_PORT)
  server = rest_front.make_rest_server(FakeManager(), FakeTelemetry(), settings)
  port = server.port
  server.stop()
  with pytest.raises(ConnectionRefusedError):
    socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_that_is_taken(rest):
  with pytest.raises(StorageError, match=f"--rest_api_port: found 127.0.0.1:{rest.server.port}"):
    Rest(FakeManager(), FakeTelemetry(), rest_api_port=rest.server.port)

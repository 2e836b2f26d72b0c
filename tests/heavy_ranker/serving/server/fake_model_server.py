"""TensorFlow Serving's REST API with canned answers, and the page at /."""

import http.server
import json
import threading
from typing import Optional

from heavy_ranker.serving.server import page_content

FLOATS = "DT_FLOAT"
SERVING_DEFAULT = {
  "continuous": (FLOATS, [-1, 7]),
  "binary": (FLOATS, [-1, 3]),
  "user_embedding": (FLOATS, [-1, 4]),
  "author_embedding": (FLOATS, [-1, 4]),
}
SIGNATURES = {
  "serving_default": SERVING_DEFAULT,
  "score_examples": {"examples": ("DT_STRING", [-1])},
}


class FakeModelServer:
  """Serves one model called `ranker` on a free port of the loopback interface.

  Attributes:
    answer: what :predict answers: JSON, or (HTTP status, text).
    signatures: inputs by signature, each (dtype, shape).
    config: the arguments of `page_content.read`; None for the page as it lies there.
    requests: (path, JSON) of the :predict requests so far.
  """

  def __init__(self):
    self.answer = {}
    self.signatures = SIGNATURES
    self.config: Optional[dict] = None
    self.requests = []
    self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
    threading.Thread(target=self._server.serve_forever, daemon=True).start()

  @property
  def url(self) -> str:
    return f"http://127.0.0.1:{self._server.server_port}/"

  def close(self):
    self._server.shutdown()
    self._server.server_close()

  def page(self) -> bytes:
    if self.config is None:
      return page_content.PAGE.read_bytes()
    return page_content.read(**self.config)

  def get(self, path: str) -> tuple[int, str]:
    if path == "/v1/models/ranker":
      states = [{"version": str(number), "state": "AVAILABLE"} for number in (2, 10)]
      return 200, json.dumps({"model_version_status": states})
    if path == "/v1/models/ranker/metadata":
      return 200, json.dumps(self._metadata())
    return 404, json.dumps({"error": f"Servable not found for request: {path}"})

  def _metadata(self) -> dict:
    signatures = {
      name: {"inputs": {key: _tensor_info(*value) for key, value in inputs.items()}, "outputs": {}}
      for name, inputs in self.signatures.items()
    }
    return {"metadata": {"signature_def": {"signature_def": signatures}}}

  def _handler(self) -> type:
    server = self

    class Handler(http.server.BaseHTTPRequestHandler):
      def do_GET(self):  # noqa: N802
        path = self.path.split("?")[0]
        if path == "/":
          self._send(200, server.page(), "text/html; charset=utf-8")
        else:
          self._send(*server.get(path))

      def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append((self.path, json.loads(body)))
        answer = server.answer
        self._send(*(answer if isinstance(answer, tuple) else (200, json.dumps(answer))))

      def _send(self, status, text, content_type="application/json"):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

      def log_message(self, *_):
        pass

    return Handler


def _tensor_info(dtype: str, shape: list) -> dict:
  return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size)} for size in shape]}}

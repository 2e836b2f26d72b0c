"""TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest."""

import functools
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Optional

from absl import logging
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

from heavy_ranker.serving.server import json_predict, model_json, page_content
from heavy_ranker.serving.server.http_listener import HttpListener
from heavy_ranker.serving.server.request_bodies import BodyReader
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.settings import ANY_PORT, ServerSettings

HEALTH_PATH = "/healthz"
_JSON = "application/json"
_VERSION = "(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_MODEL = f"/v1/models(?:/(?P<name>[^/:]+){_VERSION}"
_PREDICT = re.compile(_MODEL + "):(?P<verb>predict|classify|regress)", re.IGNORECASE)
_STATUS = re.compile(_MODEL + "(?P<metadata>/metadata)?)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1
# Beyond those that run and wait, so that even then somebody says no, and health is told.
_SPARE_THREADS = 4
_MAX_THREADS = 64


class RestServer:
  """The REST front; from `make_rest_server`."""

  def __init__(self, listener: HttpListener, application: "RestApplication"):
    self._listener = listener
    self._application = application

  @property
  def port(self) -> int:
    """The port that is listened on."""
    return self._listener.port

  def start(self) -> None:
    """Begins to answer."""
    self._listener.start()

  def stop(self, grace_seconds: float = 5.0) -> None:
    """Ends, after requests that are under way have been answered or the seconds are over."""
    self._listener.stop(grace_seconds)
    self._application.close()


def make_rest_server(manager: Any, telemetry: Any, settings: ServerSettings) -> RestServer:
  """Returns the REST front of a server; it listens, and answers after `start`.

  Args:
    manager: the `ModelManager`.
    telemetry: the `Telemetry` that requests are counted in.
    settings: host, rest_api_port and limits.

  Raises:
    StorageError: the port is taken.
  """
  threads = settings.max_running_requests + settings.max_waiting_requests + _SPARE_THREADS
  application = RestApplication(manager, telemetry, settings)
  listener = HttpListener(
    application,
    settings.host,
    0 if settings.rest_api_port == ANY_PORT else settings.rest_api_port,
    min(threads, _MAX_THREADS),
    settings.max_request_bytes,
  )
  return RestServer(listener, application)


class RestApplication:
  """The WSGI application; the arguments are those of `make_rest_server`."""

  def __init__(self, manager: Any, telemetry: Any, settings: ServerSettings):
    self._manager = manager
    self._telemetry = telemetry
    self._settings = settings
    self._bodies = BodyReader(settings.max_request_bytes)
    self._pages = {"/": self._page, HEALTH_PATH: self._health}
    if settings.metrics_path is not None:
      self._pages[settings.metrics_path] = self._metrics

  def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
    """Answers a request; whatever goes wrong is an answer, too."""
    request = Request(environ)
    try:
      response = self._answer(request)
    except RequestError as error:
      response = _error(error.code.http_status, str(error))
    except HTTPException as error:
      response = _error(error.code, error.description)
      if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.valid_methods)
    except Exception:
      logging.exception("%s %r failed", request.method, request.path)
      response = _error(500, "internal error; the server's log says which")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response(environ, start_response)

  def close(self) -> None:
    """Ends the application's own threads."""
    self._bodies.close()

  def _answer(self, request: Request) -> Response:
    handler, methods, arguments = self._route(request)
    if request.method == "OPTIONS":
      return Response(status=204, headers={"Allow": ", ".join(methods)})
    if request.method not in methods:
      raise MethodNotAllowed(
        methods, f"{request.method} {_shown(request.path)}: allowed: {', '.join(methods)}"
      )
    return handler(request, **arguments)

  def _route(self, request: Request) -> tuple[Callable[..., Response], list[str], dict]:
    path = request.path
    if path in self._pages:
      return self._pages[path], ["GET", "HEAD", "OPTIONS"], {}
    match = _PREDICT.fullmatch(path)
    if match:
      return self._predict, ["POST", "OPTIONS"], _arguments(match)
    match = _STATUS.fullmatch(path)
    if match:
      handler = self._metadata if match["metadata"] else self._status
      arguments = _arguments(match)
      arguments.pop("metadata")
      return handler, ["GET", "HEAD", "OPTIONS"], arguments
    raise NotFound(
      f"Malformed request: {request.method} {_shown(path)}; allowed: /v1/models/NAME"
      "[/versions/VERSION|/labels/LABEL], with /metadata or :predict behind it, "
      f"{', '.join(self._pages)}"
    )

  def _predict(
    self, request: Request, name: str, version: Optional[int], label: Optional[str], verb: str
  ) -> Response:
    start = time.monotonic()
    signature, status, examples = "", Code.INTERNAL.name, 0
    deadline = start + self._settings.rest_api_timeout_in_ms / 1000
    try:
      with self._manager.resolve(name, version=version, label=label) as served:
        _require_predict(verb)
        parse = functools.partial(json_predict.parse, signatures=served.signatures)
        asked = self._bodies.read(request, parse, deadline)
        signature, examples = asked.signature, asked.num_examples
        outputs = served.run(signature, asked.inputs, deadline=deadline)
      content = json_predict.write(outputs, asked.row_form)
      status = "OK"
    except RequestError as error:
      status = error.code.name
      raise
    except HTTPException:
      status = Code.INVALID_ARGUMENT.name
      raise
    finally:
      self._telemetry.observe_request(
        name, signature, "rest", status, time.monotonic() - start, examples
      )
    return Response(content, content_type=_JSON)

  def _status(
    self, request: Request, name: Optional[str], version: Optional[int], label: Optional[str]
  ) -> Response:
    statuses = self._manager.status(self._require_name(name), version, label)
    return Response(model_json.status(statuses), content_type=_JSON)

  def _metadata(
    self, request: Request, name: Optional[str], version: Optional[int], label: Optional[str]
  ) -> Response:
    name = self._require_name(name)
    with self._manager.resolve(name, version=version, label=label) as served:
      text = model_json.metadata(served.name, served.version, served.signature_defs)
    return Response(text, content_type=_JSON)

  def _require_name(self, name: Optional[str]) -> str:
    if name is None:
      names = ", ".join(sorted(self._manager.names()))
      raise RequestError(Code.INVALID_ARGUMENT, f"Missing model name in request; served: {names}")
    return name

  def _metrics(self, request: Request) -> Response:
    content, content_type = self._telemetry.render()
    return Response(content, content_type=content_type)

  def _health(self, request: Request) -> Response:
    waiting = [name for name in self._manager.names() if not self._is_available(name)]
    if waiting:
      raise RequestError(Code.UNAVAILABLE, f"no version is available of {', '.join(waiting)}")
    return Response('{"status": "OK"}', content_type=_JSON)

  def _is_available(self, name: str) -> bool:
    try:
      return any(map(model_json.is_available, self._manager.status(name)))
    except RequestError:
      return False

  def _score(self, name: str) -> Optional[dict]:
    """Returns the recipe of the newest version's score, if the version knows it."""
    try:
      with self._manager.resolve(name) as served:
        return getattr(served, "score", None)
    except RequestError:
      return None

  def _page(self, request: Request) -> Response:
    names = self._manager.names()
    content = page_content.read(names, self._score(request.args.get("model", names[0])))
    if content is None:
      raise NotFound("this server has no page")
    return Response(content, content_type="text/html; charset=utf-8")


def _arguments(match: re.Match) -> dict[str, Any]:
  arguments = match.groupdict()
  if arguments["version"] is not None:
    if len(arguments["version"]) > 19 or int(arguments["version"]) > _MAX_VERSION:
      raise RequestError(
        Code.INVALID_ARGUMENT,
        f"version: found {_shown(arguments['version'])}, allowed: 0 to {_MAX_VERSION}",
      )
    arguments["version"] = int(arguments["version"])
  return arguments


def _require_predict(verb: str) -> None:
  if verb.lower() != "predict":
    raise RequestError(
      Code.INVALID_ARGUMENT,
      f":{verb} is for signatures with the method name tensorflow/serving/{verb.lower()}; those "
      "of this model have tensorflow/serving/predict, allowed: :predict",
    )


def _error(status: Optional[int], message: Optional[str]) -> Response:
  return Response(json.dumps({"error": message}), status=status or 500, content_type=_JSON)


def _shown(text: str) -> str:
  return text if len(text) <= 200 else f"{text[:197]}..."

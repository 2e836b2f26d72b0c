"""The client's requests over REST, in columnar JSON, with the standard library alone."""

import http.client
import json
import socket
import urllib.parse
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from heavy_ranker.serving.client_types import (
  Arrays,
  ServedModel,
  Signature,
  VersionStatus,
  signatures_of,
)
from heavy_ranker.serving.json_values import from_json, to_json
from heavy_ranker.serving.serving_error import ServingError

_CODES = {
  404: "NOT_FOUND",
  412: "FAILED_PRECONDITION",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
}
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_SHOWN = 300


class RestTransport:
  """The REST API of TensorFlow Serving over one connection; one thread at a time.

  Args:
    target: "host:port", or the same behind http:// or https://.
    model: which model.
    timeout_seconds: how long to wait for the server.
  """

  def __init__(self, target: str, model: ServedModel, timeout_seconds: float):
    scheme, found, rest = target.partition("://")
    scheme, address = (scheme, rest.rstrip("/")) if found else ("http", target)
    if scheme not in _CONNECTIONS:
      raise ServingError(
        "INVALID_ARGUMENT", f"{target}: found {scheme}://, allowed: {', '.join(_CONNECTIONS)}"
      )
    self._target = target
    try:
      self._connection = _CONNECTIONS[scheme](address, timeout=timeout_seconds)
    except http.client.InvalidURL as error:
      raise ServingError("INVALID_ARGUMENT", f"{target}: {error}, allowed: host:port") from None
    self._path = f"/v1/models/{urllib.parse.quote(model.name, safe='')}"
    if model.version is not None:
      self._path += f"/versions/{model.version}"
    if model.label is not None:
      self._path += f"/labels/{urllib.parse.quote(model.label, safe='')}"

  def predict(self, signature: str, inputs: Arrays, outputs: Mapping[str, tf.TensorSpec]) -> Arrays:
    """See `Transport`."""
    columns = {name: to_json(array) for name, array in inputs.items()}
    body = json.dumps({"signature_name": signature, "inputs": columns}, separators=(",", ":"))
    found = self._request("POST", f"{self._path}:predict", body.encode()).get("outputs")
    if len(outputs) == 1:  # The API leaves out the name of an only output.
      found = {next(iter(outputs)): found}
    if not isinstance(found, dict):
      raise self._no_answer('no "outputs"')
    return {name: self._array(name, value, outputs.get(name)) for name, value in found.items()}

  def metadata(self) -> dict[str, Signature]:
    """See `Transport`."""
    content = self._request("GET", f"{self._path}/metadata")
    try:
      definitions = json_format.ParseDict(
        {"signature_def": content["metadata"]["signature_def"]["signature_def"]},
        get_model_metadata_pb2.SignatureDefMap(),
        ignore_unknown_fields=True,
      )
    except (KeyError, TypeError, json_format.ParseError) as error:
      raise self._no_answer(f"metadata without signatures: {error}") from None
    return signatures_of(definitions.signature_def)

  def status(self) -> list[VersionStatus]:
    """See `Transport`."""
    content = self._request("GET", self._path)
    try:
      return [
        VersionStatus(
          int(found["version"]), found["state"], found.get("status", {}).get("error_message", "")
        )
        for found in content["model_version_status"]
      ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise self._no_answer(f"no status of versions: {error}") from None

  def close(self) -> None:
    """See `Transport`."""
    self._connection.close()

  def _array(self, name: str, value: Any, spec: Optional[tf.TensorSpec]) -> np.ndarray:
    dtype = spec.dtype.as_numpy_dtype if spec is not None else None
    try:
      return np.array(from_json(value), dtype)
    except (ValueError, TypeError, OverflowError) as error:
      raise self._no_answer(f"outputs.{name}: {error}") from None

  def _request(self, method: str, path: str, body: Optional[bytes] = None) -> dict[str, Any]:
    status, reason, content = self._exchange(method, path, body)
    try:
      answer = json.loads(content)
    except ValueError:
      answer = None
    if status == 200 and isinstance(answer, dict):
      return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error or content[:_SHOWN].decode(errors="replace").strip() or reason
    if status == 200:
      raise self._no_answer(message)
    code = _CODES.get(status, "INVALID_ARGUMENT" if status < 500 else "UNKNOWN")
    raise ServingError(code, f"{self._target}: HTTP {status}: {message}")

  def _exchange(self, method: str, path: str, body: Optional[bytes]) -> tuple[int, str, bytes]:
    """Sends a request; again, once, if the server has ended an idle connection meanwhile."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    for was_open in (self._connection.sock is not None, False):
      try:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.reason, response.read()
      except (TimeoutError, socket.timeout):  # Two exceptions on Python 3.9.
        self._connection.close()
        raise ServingError(
          "DEADLINE_EXCEEDED", f"{self._target}: no answer in {self._connection.timeout} s"
        ) from None
      except (OSError, http.client.HTTPException) as error:
        self._connection.close()
        if not was_open or not isinstance(error, ConnectionError):
          what = str(error) or type(error).__name__
          raise ServingError("UNAVAILABLE", f"{self._target}: {what}") from None
    raise AssertionError("the second attempt returns or raises")

  def _no_answer(self, what: str) -> ServingError:
    return ServingError(
      "INTERNAL", f"{self._target}: no answer of TensorFlow Serving's API: {what}"
    )

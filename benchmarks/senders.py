"""Requests put together beforehand, so that what is measured is the server and not its client."""

import http.client
import json
from collections.abc import Mapping
from typing import Protocol

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from heavy_ranker.serving.client_types import Signature
from heavy_ranker.serving.json_values import to_json
from heavy_ranker.serving.serving_error import ServingError
from heavy_ranker.serving.signatures import SERVING_DEFAULT

_NAME = "heavy_ranker"
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_OPTIONS = (
  ("grpc.max_send_message_length", -1),
  ("grpc.max_receive_message_length", -1),
  ("grpc.enable_http_proxy", 0),
  ("grpc.use_local_subchannel_pool", 1),  # A connection of its own for each sender.
)
_IDS = 1000


class Sender(Protocol):
  """Sends one request again and again, over a connection of its own."""

  def send(self) -> int:
    """Returns how many scores came back. Raises ServingError."""

  def close(self) -> None:
    """Ends the connection."""


def random_inputs(signature: Signature, candidates: int, seed: int = 0) -> dict[str, np.ndarray]:
  """Returns inputs [candidates, width] of a signature: normal floats, small ids."""
  generator = np.random.default_rng(seed)
  return {
    name: _random(generator, [candidates, *spec.shape[1:]], spec.dtype)
    for name, spec in signature.inputs.items()
  }


def _random(generator: np.random.Generator, shape: list[int], dtype: tf.DType) -> np.ndarray:
  if dtype.is_integer:
    return generator.integers(0, _IDS, shape).astype(dtype.as_numpy_dtype)
  return (generator.standard_normal(shape) * 3).astype(dtype.as_numpy_dtype)


class GrpcSender:
  """See `Sender`.

  Args:
    address: "host:port".
    inputs: of the signature `serving_default`.
    timeout_seconds: the deadline of each request.
  """

  def __init__(self, address: str, inputs: Mapping[str, np.ndarray], timeout_seconds: float):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = _NAME
    request.model_spec.signature_name = SERVING_DEFAULT
    for name, array in inputs.items():
      request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    self._body, self._timeout = request.SerializeToString(), timeout_seconds
    self._channel = grpc.insecure_channel(address, _OPTIONS)
    self._call = self._channel.unary_unary(
      _PREDICT, response_deserializer=predict_pb2.PredictResponse.FromString
    )

  def send(self) -> int:
    """See `Sender`."""
    try:
      response = self._call(self._body, timeout=self._timeout)
    except grpc.RpcError as error:
      raise ServingError(error.code().name, error.details()) from None
    return len(tf.make_ndarray(response.outputs["score"]))

  def close(self) -> None:
    """See `Sender`."""
    self._channel.close()


class RestSender:
  """See `Sender`; the arguments are those of `GrpcSender`."""

  def __init__(self, address: str, inputs: Mapping[str, np.ndarray], timeout_seconds: float):
    columns = {name: to_json(array) for name, array in inputs.items()}
    request = {"signature_name": SERVING_DEFAULT, "inputs": columns}
    self._body = json.dumps(request, separators=(",", ":")).encode()
    self._connection = http.client.HTTPConnection(address, timeout=timeout_seconds)

  def send(self) -> int:
    """See `Sender`."""
    try:
      self._connection.request(
        "POST", f"/v1/models/{_NAME}:predict", self._body, {"Content-Type": "application/json"}
      )
      response = self._connection.getresponse()
      content = response.read()
      if response.status != 200:
        raise ServingError(f"HTTP {response.status}", content[:200].decode(errors="replace"))
      return len(json.loads(content)["outputs"]["score"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
      self._connection.close()
      raise ServingError(type(error).__name__, str(error)) from None

  def close(self) -> None:
    """See `Sender`."""
    self._connection.close()


SENDERS = {"grpc": GrpcSender, "rest": RestSender}

"""Servers on free ports, in this process, and calls to them."""

import contextlib

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from heavy_ranker.serving.server.server import Server
from heavy_ranker.serving.server.settings import ANY_PORT, ServerSettings

SECONDS = 60


class Client:
  """Calls a server over gRPC."""

  def __init__(self, port: int):
    self.channel = grpc.insecure_channel(
      f"127.0.0.1:{port}",
      options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
    self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

  def predict(self, inputs, signature="", timeout=SECONDS, name="heavy_ranker", **spec):
    """Returns arrays by name; the response is kept as `self.response`."""
    request = predict_request(inputs, signature, name, **spec)
    self.response = self.prediction.Predict(request, timeout=timeout)
    return {key: tf.make_ndarray(proto) for key, proto in self.response.outputs.items()}

  def code_of(self, *args, **keywords):
    """Returns code and message of a call that fails."""
    try:
      self.predict(*args, **keywords)
    except grpc.RpcError as error:
      return error.code(), error.details()
    raise AssertionError("the call was answered")


def predict_request(inputs, signature="", name="heavy_ranker", **spec):
  request = predict_pb2.PredictRequest()
  request.model_spec.name = name
  request.model_spec.signature_name = signature
  if "version" in spec:
    request.model_spec.version.value = spec["version"]
  if "label" in spec:
    request.model_spec.version_label = spec["label"]
  request.output_filter.extend(spec.get("output_filter", ()))
  for key, value in inputs.items():
    is_proto = isinstance(value, tf.compat.v1.TensorInfo) or hasattr(value, "SerializeToString")
    request.inputs[key].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
  return request


@contextlib.contextmanager
def running(**settings):
  """Yields a server with gRPC alone and a client of it."""
  keywords = {"port": ANY_PORT, "rest_api_port": 0, "file_system_poll_wait_seconds": 0, **settings}
  keywords = {
    key: str(value) if key.endswith(("_path", "_file")) else value
    for key, value in keywords.items()
  }
  server = Server(ServerSettings(**keywords))
  server.start()
  client = Client(server.grpc_port)
  try:
    yield server, client
  finally:
    client.channel.close()
    server.stop(5)


def tiny_inputs(rows: int = 2):
  x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
  return {"x": x, "ids": np.arange(rows)}

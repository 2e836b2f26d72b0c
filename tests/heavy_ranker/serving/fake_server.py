"""Servers of an export, as small as can be: TensorFlow Serving's APIs without anything around.

As a command it takes the flags of tensorflow_model_server that the benchmark gives.
"""

import argparse
import base64
import json
import os
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  get_model_status_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

NAME = "heavy_ranker"


class ServedExport:
  """An export that answers; `fail` makes all answers a failure, `sizes` are those of requests."""

  def __init__(self, folder):
    self.versions = [(2, "LOADING", ""), (1, "END", "broken")]
    self.sizes, self.fail = [], None
    self.load(folder)

  def load(self, folder):
    self._loaded = tf.saved_model.load(folder)
    with open(f"{folder}/saved_model.pb", "rb") as file:
      content = saved_model_pb2.SavedModel.FromString(file.read())
    self.definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in content.meta_graphs[0].signature_def.items():
      self.definitions.signature_def[name].CopyFrom(definition)

  def run(self, signature, inputs):
    self.sizes.append(len(next(iter(inputs.values()))))
    outputs = self._loaded.signatures[signature](
      **{name: tf.constant(array) for name, array in inputs.items()}
    )
    return {name: tensor.numpy() for name, tensor in outputs.items()}

  def status(self):
    status = get_model_status_pb2.GetModelStatusResponse()
    for version, state, error in self.versions:
      found = status.model_version_status.add(version=version, state=state)
      found.status.error_message = error
    return status


class _Grpc(
  prediction_service_pb2_grpc.PredictionServiceServicer,
  model_service_pb2_grpc.ModelServiceServicer,
):
  def __init__(self, served):
    self._served = served

  def _check(self, request, context):
    if self._served.fail is not None:
      context.abort(grpc.StatusCode[self._served.fail], "as told")
    if request.model_spec.name != NAME or request.model_spec.version_label == "nowhere":
      context.abort(grpc.StatusCode.NOT_FOUND, "no such model")

  def Predict(self, request, context):  # noqa: N802 - the API's name.
    self._check(request, context)
    inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
    try:
      outputs = self._served.run(request.model_spec.signature_name, inputs)
    except Exception as error:  # noqa: BLE001 - whatever the model says.
      context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:200])
    response = predict_pb2.PredictResponse()
    for name, array in outputs.items():
      response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
    return response

  def GetModelMetadata(self, request, context):  # noqa: N802
    self._check(request, context)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(self._served.definitions)
    return response

  def GetModelStatus(self, request, context):  # noqa: N802
    self._check(request, context)
    return self._served.status()


@contextmanager
def serve_grpc(served, port=0):
  """Yields the address."""
  server = grpc.server(futures.ThreadPoolExecutor(2))
  servicer = _Grpc(served)
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
  model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
  port = server.add_insecure_port(f"127.0.0.1:{port}")
  server.start()
  try:
    yield f"127.0.0.1:{port}"
  finally:
    server.stop(None).wait()


_STATUS = {"UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "INVALID_ARGUMENT": 400}


class _Rest(BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"

  def log_message(self, *_):
    pass

  def do_GET(self):  # noqa: N802
    if self.path == f"/v1/models/{NAME}":
      return self._answer(json_format.MessageToDict(self.server.served.status(), True, True))
    if self.path != f"/v1/models/{NAME}/metadata":
      return self._answer({"error": "no such model"}, 404)
    definitions = json_format.MessageToDict(self.server.served.definitions, True, True)
    return self._answer({"metadata": {"signature_def": definitions}})

  def do_POST(self):  # noqa: N802
    served = self.server.served
    content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
    if served.fail is not None:
      return self._answer({"error": "as told"}, _STATUS[served.fail])
    if self.path != f"/v1/models/{NAME}:predict":
      return self._answer({"error": "no such model"}, 404)
    try:
      outputs = served.run(content["signature_name"], self._arrays(content))
    except Exception as error:  # noqa: BLE001
      return self._answer({"error": str(error)[:200]}, 400)
    return self._answer({"outputs": {name: array.tolist() for name, array in outputs.items()}})

  def _arrays(self, content):
    specs = self.server.served.definitions.signature_def[content["signature_name"]].inputs
    dtypes = {name: tf.dtypes.as_dtype(info.dtype) for name, info in specs.items()}
    return {
      name: [base64.b64decode(value["b64"]) for value in values]
      if dtypes[name] is tf.string
      else np.array(values, dtypes[name].as_numpy_dtype)
      for name, values in content["inputs"].items()
    }

  def _answer(self, content, status=200):
    body = json.dumps(content).encode()
    self.send_response(status)
    self.send_header("Content-Length", str(len(body)))
    self.end_headers()
    self.wfile.write(body)


@contextmanager
def serve_rest(served, port=0):
  """Yields the address."""
  server = ThreadingHTTPServer(("127.0.0.1", port), _Rest)
  server.daemon_threads, server.served = True, served
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  try:
    yield f"127.0.0.1:{server.server_port}"
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


SERVE = {"grpc": serve_grpc, "rest": serve_rest}


def _main():
  parser = argparse.ArgumentParser()
  for name in ("port", "rest_api_port", "model_name", "model_base_path"):
    parser.add_argument(f"--{name}", required=True)
  parser.add_argument("--file_system_poll_wait_seconds")
  flags = parser.parse_args()

  def newest():
    return max(int(name) for name in os.listdir(flags.model_base_path) if name.isdecimal())

  version = newest()
  served = ServedExport(f"{flags.model_base_path}/{version}")
  served.versions = [(version, "AVAILABLE", "")]
  with serve_grpc(served, int(flags.port)), serve_rest(served, int(flags.rest_api_port)):
    while True:
      time.sleep(0.1)
      if newest() != version:
        version = newest()
        served.load(f"{flags.model_base_path}/{version}")
        served.versions = [(version, "AVAILABLE", "")]


if __name__ == "__main__":
  _main()

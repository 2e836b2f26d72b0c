"""gRPC: TensorFlow Serving's PredictionService and ModelService."""

import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, Optional

import grpc
from absl import logging
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  get_model_status_pb2,
  model_management_pb2,
  model_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from heavy_ranker.serving.server import tensor_protos
from heavy_ranker.serving.server.model_manager import ModelManager
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.served_model import LoadedVersion
from heavy_ranker.serving.server.settings import ANY_PORT, ServerSettings
from heavy_ranker.serving.server.telemetry import Telemetry
from tfrecords.errors import StorageError, UserError

_SIGNATURE_DEF = "signature_def"
# UNKNOWN, which TensorFlow Serving tells of versions that could not be loaded.
_FAILED_LOAD = 2
# Threads for what needs no model: metadata, states, and saying no.
_SPARE_THREADS = 8
# Requests that may wait to be joined, since each one needs a thread.
_BATCHED_REQUESTS = 128
# gRPC puts the message into a header, percent-encoded, and headers end at 8 KB.
_MESSAGE_BYTES = 2000


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
  """Predict and GetModelMetadata.

  Args:
    manager: has the models.
    telemetry: is told of each Predict.
    settings: the limits.
  """

  def __init__(self, manager: ModelManager, telemetry: Telemetry, settings: ServerSettings):
    self._manager = manager
    self._telemetry = telemetry
    self._settings = settings

  def Predict(  # noqa: N802 - the name of the method in the service.
    self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
  ) -> predict_pb2.PredictResponse:
    """Runs a signature of a model."""
    start = time.monotonic()
    status, examples = Code.INTERNAL.name, 0
    try:
      response, examples = self._predict(request, _deadline(context, start))
      status = "OK"
      return response
    except RequestError as error:
      status = error.code.name
      return _abort(context, error)
    except Exception:  # noqa: BLE001 - one request's trouble is not the server's.
      return _abort_with_defect(context)
    finally:
      spec = request.model_spec
      seconds = time.monotonic() - start
      signature = spec.signature_name or "serving_default"
      self._telemetry.observe_request(spec.name, signature, "grpc", status, seconds, examples)

  def GetModelMetadata(  # noqa: N802
    self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
  ) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Returns the signatures of a model."""
    return _answer(context, lambda: self._metadata(request))

  def Classify(self, request: Any, context: grpc.ServicerContext) -> None:  # noqa: N802
    """Is not served."""
    _refuse(context, "Classify")

  def Regress(self, request: Any, context: grpc.ServicerContext) -> None:  # noqa: N802
    """Is not served."""
    _refuse(context, "Regress")

  def MultiInference(self, request: Any, context: grpc.ServicerContext) -> None:  # noqa: N802
    """Is not served."""
    _refuse(context, "MultiInference")

  def _predict(
    self, request: predict_pb2.PredictRequest, deadline: Optional[float]
  ) -> tuple[predict_pb2.PredictResponse, int]:
    settings = self._settings
    with self._manager.resolve(*_model_of(request.model_spec)) as version:
      info = version.signature(request.model_spec.signature_name)
      inputs = tensor_protos.to_arrays(
        request.inputs, info, settings.max_examples_a_request, settings.max_request_bytes
      )
      outputs = version.run(info.name, inputs, request.output_filter, deadline)
      response = predict_pb2.PredictResponse(
        model_spec=_spec(version, info.name),
        outputs={name: tensor_protos.from_array(array) for name, array in outputs.items()},
      )
      return response, info.check(inputs, settings.max_examples_a_request)

  def _metadata(
    self, request: get_model_metadata_pb2.GetModelMetadataRequest
  ) -> get_model_metadata_pb2.GetModelMetadataResponse:
    fields = list(request.metadata_field)
    if not fields or any(field != _SIGNATURE_DEF for field in fields):
      raise RequestError(
        Code.INVALID_ARGUMENT, f"metadata_field: found {fields}, allowed: {_SIGNATURE_DEF!r}"
      )
    with self._manager.resolve(*_model_of(request.model_spec)) as version:
      signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=version.signature_defs)
      packed = any_pb2.Any()
      packed.Pack(signatures)
      return get_model_metadata_pb2.GetModelMetadataResponse(
        model_spec=_spec(version), metadata={_SIGNATURE_DEF: packed}
      )


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
  """GetModelStatus and HandleReloadConfigRequest.

  Args:
    manager: has the models.
  """

  def __init__(self, manager: ModelManager):
    self._manager = manager

  def GetModelStatus(  # noqa: N802
    self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
  ) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the states of a model's versions."""
    return _answer(context, lambda: self._status(request))

  def HandleReloadConfigRequest(  # noqa: N802
    self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
  ) -> model_management_pb2.ReloadConfigResponse:
    """Serves other models; returns when they are loaded."""
    return _answer(context, lambda: self._reload(request))

  def _status(
    self, request: get_model_status_pb2.GetModelStatusRequest
  ) -> get_model_status_pb2.GetModelStatusResponse:
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in self._manager.status(*_model_of(request.model_spec)):
      entry = response.model_version_status.add(version=status.version, state=int(status.state))
      entry.status.error_code = _FAILED_LOAD if status.error else 0
      entry.status.error_message = status.error or ""
    return response

  def _reload(
    self, request: model_management_pb2.ReloadConfigRequest
  ) -> model_management_pb2.ReloadConfigResponse:
    try:
      self._manager.reload(request.config)
    except UserError as error:
      raise RequestError(Code.INVALID_ARGUMENT, str(error)) from None
    return model_management_pb2.ReloadConfigResponse()


class GrpcServer:
  """A gRPC server and the port it listens on; see `make_grpc_server`."""

  def __init__(self, server: grpc.Server, port: int):
    self._server = server
    self._is_started = False
    self.port = port

  def start(self) -> None:
    """Starts to answer."""
    self._is_started = True
    self._server.start()

  def stop(self, grace_seconds: float) -> threading.Event:
    """Takes no more requests, and returns at once.

    Returns:
      An event that is set when those under way are answered or the time is up.
    """
    if not self._is_started:
      self.start()  # Or else gRPC would keep the port.
    return self._server.stop(grace_seconds)


def make_grpc_server(
  manager: ModelManager, telemetry: Telemetry, settings: ServerSettings
) -> GrpcServer:
  """Returns a server that listens, and answers once it is started.

  Raises:
    StorageError: the port is in use, or the address is not this machine's.
  """
  waiting = settings.max_running_requests + settings.max_waiting_requests
  threads = (_BATCHED_REQUESTS if settings.enable_batching else waiting) + _SPARE_THREADS
  server = grpc.server(
    futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
    maximum_concurrent_rpcs=threads + settings.max_waiting_requests,
    options=[
      ("grpc.max_receive_message_length", settings.max_request_bytes),
      ("grpc.max_send_message_length", -1),
      # Or else two servers would share the port, and the requests.
      ("grpc.so_reuseport", 0),
    ],
  )
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
    PredictionService(manager, telemetry, settings), server
  )
  model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), server)
  return GrpcServer(server, _listen(server, settings))


def _listen(server: grpc.Server, settings: ServerSettings) -> int:
  wanted = 0 if settings.port == ANY_PORT else settings.port
  host = f"[{settings.host}]" if ":" in settings.host else settings.host
  try:
    port = server.add_insecure_port(f"{host}:{wanted}")
  except RuntimeError:
    port = 0
  if not port:
    raise StorageError(
      f"--port: {settings.host}:{wanted} cannot be listened on: it is in use, or not an address of "
      "this machine. Choose another one with --port or --host, or end the server that has it"
    )
  return port


def _model_of(spec: model_pb2.ModelSpec) -> tuple[str, Optional[int], Optional[str]]:
  """Returns name, version and label, None for what the request leaves open."""
  choice = spec.WhichOneof("version_choice")
  version = spec.version.value if choice == "version" else None
  return spec.name, version, spec.version_label if choice == "version_label" else None


def _spec(version: LoadedVersion, signature: str = "") -> model_pb2.ModelSpec:
  spec = model_pb2.ModelSpec(name=version.name, signature_name=signature)
  spec.version.value = version.version
  return spec


def _deadline(context: grpc.ServicerContext, now: float) -> Optional[float]:
  seconds = context.time_remaining()
  return None if seconds is None else now + seconds


def _answer(context: grpc.ServicerContext, function: Callable[[], Any]) -> Any:
  try:
    return function()
  except RequestError as error:
    return _abort(context, error)
  except Exception:  # noqa: BLE001 - as in Predict.
    return _abort_with_defect(context)


def _abort_with_defect(context: grpc.ServicerContext) -> None:
  logging.exception("a request failed")
  context.abort(grpc.StatusCode.INTERNAL, "internal error; the server's log says which")


def _refuse(context: grpc.ServicerContext, method: str) -> None:
  message = f"{method} is not served, since the model has no such signature; use Predict"
  _abort(context, RequestError(Code.UNIMPLEMENTED, message))


def _abort(context: grpc.ServicerContext, error: RequestError) -> None:
  if error.code is Code.INTERNAL:
    logging.error("%s", error.message)
  shortened = error.message.encode(errors="replace")[:_MESSAGE_BYTES].decode(errors="ignore")
  context.abort(error.code.grpc_code, shortened)

"""The client's requests over gRPC."""

from collections.abc import Mapping
from typing import Any, Callable

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  get_model_status_pb2,
  model_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from heavy_ranker.serving.client_types import (
  Arrays,
  ServedModel,
  Signature,
  VersionStatus,
  signatures_of,
)
from heavy_ranker.serving.serving_error import ServingError

_SIGNATURES = "signature_def"
# A request of 1500 candidates is larger than gRPC's 4 MB.
_OPTIONS = (
  ("grpc.max_send_message_length", -1),
  ("grpc.max_receive_message_length", -1),
  ("grpc.enable_http_proxy", 0),
)


class GrpcTransport:
  """PredictionService and ModelService of TensorFlow Serving; may be shared between threads.

  Args:
    target: "host:port".
    model: which model.
    timeout_seconds: the deadline of each request.
  """

  def __init__(self, target: str, model: ServedModel, timeout_seconds: float):
    self._target, self._timeout = target, timeout_seconds
    self._spec = model_pb2.ModelSpec(name=model.name)
    if model.version is not None:
      self._spec.version.value = model.version
    if model.label is not None:
      self._spec.version_label = model.label
    self._channel = grpc.insecure_channel(target, _OPTIONS)
    self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
    self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

  def predict(self, signature: str, inputs: Arrays, outputs: Mapping[str, tf.TensorSpec]) -> Arrays:
    """See `Transport`."""
    request = predict_pb2.PredictRequest(model_spec=self._spec)
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
      dtype = tf.string if array.dtype.kind in "OSU" else None
      request.inputs[name].CopyFrom(tf.make_tensor_proto(array, dtype))
    response = self._call(self._prediction.Predict, request)
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

  def metadata(self) -> dict[str, Signature]:
    """See `Transport`."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(
      model_spec=self._spec, metadata_field=[_SIGNATURES]
    )
    response = self._call(self._prediction.GetModelMetadata, request)
    definitions = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[_SIGNATURES].Unpack(definitions)
    return signatures_of(definitions.signature_def)

  def status(self) -> list[VersionStatus]:
    """See `Transport`."""
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec)
    response = self._call(self._models.GetModelStatus, request)
    states = get_model_status_pb2.ModelVersionStatus.State
    return [
      VersionStatus(found.version, states.Name(found.state), found.status.error_message)
      for found in response.model_version_status
    ]

  def close(self) -> None:
    """See `Transport`."""
    self._channel.close()

  def _call(self, method: Callable, request: Any) -> Any:
    try:
      return method(request, timeout=self._timeout)
    except grpc.RpcError as error:
      message = f"{self._target}: {error.details()}"
      raise ServingError(error.code().name, message) from None
    except ValueError as error:  # A channel that is closed.
      raise ServingError("CANCELLED", f"{self._target}: {error}") from None

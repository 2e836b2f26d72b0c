"""A model's status and metadata, in the JSON of TensorFlow Serving's messages."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

_State = get_model_status_pb2.ModelVersionStatus.State


def status(statuses: Iterable[Any]) -> str:
  """Returns the JSON of a GetModelStatusResponse.

  Args:
    statuses: `VersionStatus` of each version.
  """
  response = get_model_status_pb2.GetModelStatusResponse()
  for found in statuses:
    version = response.model_version_status.add(version=found.version, state=_state(found.state))
    if found.error:
      version.status.error_code = 2  # UNKNOWN, which TensorFlow Serving tells of failed loads.
      version.status.error_message = str(found.error)
    else:
      version.status.error_code = 0
  return json_format.MessageToJson(response, including_default_value_fields=True)


def is_available(found: Any) -> bool:
  """Whether a version of this `VersionStatus` is served."""
  return _state(found.state) == _State.AVAILABLE


def metadata(
  name: str, version: int, signature_defs: Mapping[str, meta_graph_pb2.SignatureDef]
) -> str:
  """Returns the JSON of a GetModelMetadataResponse with the field signature_def.

  Args:
    name: the model's.
    version: the version's number.
    signature_defs: the SavedModel's.
  """
  spec = model_pb2.ModelSpec(name=name)
  spec.version.value = version
  signatures = get_model_metadata_pb2.SignatureDefMap()
  for key, signature in signature_defs.items():
    signatures.signature_def[key].CopyFrom(signature)
  return (
    f'{{\n"model_spec": {_text(spec)},\n"metadata": {{"signature_def": {_text(signatures)}}}\n}}\n'
  )


def _state(state: Any) -> int:
  """Returns the enum's number of a state given as number or name."""
  return _State.Value(state) if isinstance(state, str) else int(state)


def _text(message: Any) -> str:
  return json_format.MessageToJson(
    message, including_default_value_fields=True, preserving_proto_field_name=True
  )

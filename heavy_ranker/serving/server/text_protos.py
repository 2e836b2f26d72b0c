"""TensorFlow Serving's configuration files: text protobuf into messages.

tensorflow-serving-api brings ModelServerConfig; the two messages below it leaves out. Their names,
fields and numbers are those of session_bundle_config.proto and monitoring_config.proto.
"""

from collections.abc import Sequence
from typing import Optional, TypeVar

import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format
from google.protobuf import wrappers_pb2 as _wrappers  # noqa: F401 - registers the field types.

from tfrecords import paths
from tfrecords.errors import ConfigError, StorageError, reason

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "heavy_ranker.serving"
_INT64_VALUE = ".google.protobuf.Int64Value"
_STRING_VALUE = ".google.protobuf.StringValue"
_MessageType = TypeVar("_MessageType", bound=message.Message)


def read(path: str, into: _MessageType, flag: str) -> _MessageType:
  """Reads a file of text protobuf.

  Args:
    path: as the user gave it, local or remote.
    into: an empty message of the type the file holds.
    flag: the flag the path comes from, for the messages.

  Returns:
    `into`, filled.

  Raises:
    StorageError: the file cannot be read.
    ConfigError: it is no text protobuf of this type; the message names line and field.
  """
  resolved = paths.resolve(path, flag)
  try:
    with tf.io.gfile.GFile(resolved, "r") as file:
      content = file.read()
  except (tf.errors.OpError, OSError) as error:
    raise StorageError(f"{flag}: {resolved} cannot be read: {reason(error)}") from None
  except UnicodeDecodeError:
    raise ConfigError(f"{flag}: {resolved}: found bytes, allowed: text protobuf") from None
  try:
    return text_format.Parse(content, into)
  except text_format.ParseError as error:
    fields = ", ".join(field.name for field in into.DESCRIPTOR.fields)
    raise ConfigError(
      f"{flag}: {resolved}: {reason(error)}; allowed: {into.DESCRIPTOR.name} as text protobuf, "
      f"whose fields are {fields}"
    ) from None


def _define() -> descriptor_pool.DescriptorPool:
  file = descriptor_pb2.FileDescriptorProto(
    name="heavy_ranker/serving/configs.proto",
    package=_PACKAGE,
    syntax="proto3",
    dependency=["google/protobuf/wrappers.proto"],
  )
  _add_message(
    file,
    "BatchingParameters",
    [
      ("max_batch_size", 1, _FIELD.TYPE_MESSAGE, _INT64_VALUE),
      ("batch_timeout_micros", 2, _FIELD.TYPE_MESSAGE, _INT64_VALUE),
      ("max_enqueued_batches", 3, _FIELD.TYPE_MESSAGE, _INT64_VALUE),
      ("num_batch_threads", 4, _FIELD.TYPE_MESSAGE, _INT64_VALUE),
      ("thread_pool_name", 5, _FIELD.TYPE_MESSAGE, _STRING_VALUE),
      ("allowed_batch_sizes", 6, _FIELD.TYPE_INT64, None),
      ("pad_variable_length_inputs", 7, _FIELD.TYPE_BOOL, None),
    ],
    repeated=["allowed_batch_sizes"],
  )
  _add_message(
    file,
    "PrometheusConfig",
    [("enable", 1, _FIELD.TYPE_BOOL, None), ("path", 2, _FIELD.TYPE_STRING, None)],
  )
  prometheus_type = f".{_PACKAGE}.PrometheusConfig"
  _add_message(
    file, "MonitoringConfig", [("prometheus_config", 1, _FIELD.TYPE_MESSAGE, prometheus_type)]
  )
  pool = descriptor_pool.Default()
  pool.AddSerializedFile(file.SerializeToString())
  return pool


def _add_message(
  file: descriptor_pb2.FileDescriptorProto,
  name: str,
  fields: Sequence[tuple[str, int, int, Optional[str]]],
  repeated: Sequence[str] = (),
) -> None:
  added = file.message_type.add(name=name)
  for field, number, kind, type_name in fields:
    label = _FIELD.LABEL_REPEATED if field in repeated else _FIELD.LABEL_OPTIONAL
    added.field.add(name=field, number=number, type=kind, type_name=type_name, label=label)


def _message_class(name: str) -> type:
  descriptor = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")
  return message_factory.GetMessageClass(descriptor)


_POOL = _define()
BatchingParameters = _message_class("BatchingParameters")
MonitoringConfig = _message_class("MonitoringConfig")

"""The files in configs/serving, read as tensorflow_model_server reads them: unknown keys fail."""

import pathlib

import pytest
from google.protobuf import (
  descriptor_pb2,
  descriptor_pool,
  message_factory,
  text_format,
  wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from heavy_ranker.serving.warmup import LARGEST_BATCH, MODEL_NAME
from tfrecords import paths

BAZEL_DATA = ["//configs:all"]

_FIELD = descriptor_pb2.FieldDescriptorProto
_NUMBER, _WRAPPED = ".google.protobuf.Int64Value", ".google.protobuf.StringValue"
# The server's messages that are in no Python package: name, number, type and message type.
_MESSAGES = {
  "BatchingParameters": [
    ("max_batch_size", 1, _FIELD.TYPE_MESSAGE, _NUMBER),
    ("batch_timeout_micros", 2, _FIELD.TYPE_MESSAGE, _NUMBER),
    ("max_enqueued_batches", 3, _FIELD.TYPE_MESSAGE, _NUMBER),
    ("num_batch_threads", 4, _FIELD.TYPE_MESSAGE, _NUMBER),
    ("thread_pool_name", 5, _FIELD.TYPE_MESSAGE, _WRAPPED),
  ],
  "PrometheusConfig": [
    ("enable", 1, _FIELD.TYPE_BOOL, None),
    ("path", 2, _FIELD.TYPE_STRING, None),
  ],
  "MonitoringConfig": [
    ("prometheus_config", 1, _FIELD.TYPE_MESSAGE, ".expected.PrometheusConfig"),
  ],
}


def _message(name):
  """Returns an empty message of the given name, which knows all it may hold."""
  file = descriptor_pb2.FileDescriptorProto(
    name="expected.proto",
    package="expected",
    syntax="proto3",
    dependency=[wrappers_pb2.DESCRIPTOR.name],
  )
  for message, fields in _MESSAGES.items():
    described = file.message_type.add(name=message)
    for field, number, kind, type_name in fields:
      described.field.add(
        name=field, number=number, type=kind, type_name=type_name, label=_FIELD.LABEL_OPTIONAL
      )
  pool = descriptor_pool.DescriptorPool()
  pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
  pool.AddSerializedFile(file.SerializeToString())
  return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"expected.{name}"))()


def _parse(file, message):
  folder = pathlib.Path(paths.workspace_directory()) / "configs" / "serving"
  return text_format.Parse((folder / file).read_text(), message)


def test_models_and_labels():
  config = _parse("models.config", model_server_config_pb2.ModelServerConfig())
  (model,) = config.model_config_list.config
  assert model.name == MODEL_NAME
  assert model.base_path == f"/models/{MODEL_NAME}"
  assert model.model_platform == "tensorflow"
  versions = list(model.model_version_policy.specific.versions)
  assert set(model.version_labels) == {"stable", "canary"}
  assert set(model.version_labels.values()) <= set(versions) == {1}


def test_batching():
  found = _parse("batching_parameters.txt", _message("BatchingParameters"))
  assert found.max_batch_size.value == 2048 >= LARGEST_BATCH
  assert found.batch_timeout_micros.value == 1000
  assert found.num_batch_threads.value == 2
  assert found.max_enqueued_batches.value == 8


def test_monitoring():
  found = _parse("monitoring.config", _message("MonitoringConfig"))
  assert found.prometheus_config.enable
  assert found.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_the_messages_are_strict():
  with pytest.raises(text_format.ParseError, match="max_batchsize"):
    text_format.Parse("max_batchsize { value: 1 }", _message("BatchingParameters"))
  with pytest.raises(text_format.ParseError):
    text_format.Parse("max_batch_size: 1", _message("BatchingParameters"))

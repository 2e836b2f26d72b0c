"""What TensorFlow Serving promises, asked of this server and, where it is on PATH, of the other.

Messages are this server's own and not looked at here; codes and contents are.
"""

import contextlib
import shutil
import socket
import subprocess

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
  classification_pb2,
  get_model_metadata_pb2,
  get_model_status_pb2,
  inference_pb2,
  regression_pb2,
)

from tests.heavy_ranker.serving.server.running_server import SECONDS, Client, running, tiny_inputs
from tests.heavy_ranker.serving.server.tiny_model import write_version

BAZEL_SIZE = "large"
_MODEL_SERVER = "tensorflow_model_server"
_NAME = "heavy_ranker"
_CONFIG = """
model_config_list {{ config {{
  name: "heavy_ranker" base_path: "{base}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ versions: 3 versions: 12 }} }}
  version_labels {{ key: "stable" value: 3 }} version_labels {{ key: "canary" value: 12 }}
}} }}
"""


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
  folder = tmp_path_factory.mktemp("api")
  base = folder / "saved"
  base.mkdir()
  for version in (1, 3, 12):
    write_version(base, version, factor=version)
  path = folder / "models.config"
  path.write_text(_CONFIG.format(base=base))
  return path


@contextlib.contextmanager
def _embedded(config_file):
  with running(model_config_file=config_file) as (_, client):
    yield client


@contextlib.contextmanager
def _tensorflow_model_server(config_file):
  program = shutil.which(_MODEL_SERVER)
  if program is None:
    pytest.skip(f"{_MODEL_SERVER} is not on PATH")
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  arguments = [f"--port={port}", "--rest_api_port=0", f"--model_config_file={config_file}"]
  arguments.append("--allow_version_labels_for_unavailable_models=true")
  process = subprocess.Popen([program, *arguments])
  try:
    client = Client(port)
    grpc.channel_ready_future(client.channel).result(60)
    yield client
    client.channel.close()
  finally:
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module", params=[_embedded, _tensorflow_model_server])
def client(request, config_file):
  with request.param(config_file) as found:
    yield found


@pytest.mark.parametrize(
  "spec, version",
  [({}, 12), ({"version": 3}, 3), ({"label": "stable"}, 3), ({"label": "canary"}, 12)],
)
def test_predict_with_the_version_asked_for(client, spec, version):
  inputs = tiny_inputs(5)
  outputs = client.predict(inputs, **spec)
  assert set(outputs) == {"y", "ids", "sum"}
  np.testing.assert_allclose(outputs["y"], inputs["x"] * version, rtol=1e-6)
  np.testing.assert_allclose(outputs["sum"], inputs["x"].sum(1) * version, rtol=1e-6)
  np.testing.assert_array_equal(outputs["ids"], inputs["ids"])
  found = client.response.model_spec
  assert (found.name, found.version.value) == (_NAME, version)
  assert found.signature_name == "serving_default"


def test_values_are_in_the_fields_of_their_types(client):
  client.predict(tiny_inputs(2))
  outputs = client.response.outputs
  assert len(outputs["y"].float_val) == 6 and len(outputs["ids"].int64_val) == 2


def test_every_signature_answers(client):
  example = tf.train.Example()
  example.features.feature["x"].float_list.value.append(2)
  outputs = client.predict({"examples": [example.SerializeToString(), b""]}, "parse")
  np.testing.assert_allclose(outputs["y"], [24, 0])
  x = np.ones((4, 3), np.float32)
  outputs = client.predict({"user": x[:1], "x": x}, "rank")
  np.testing.assert_allclose(outputs["y"], [36.5] * 4)
  outputs = client.predict({"user": x[:1], "x": x, "bonus": np.float32(2)}, "rank")
  np.testing.assert_allclose(outputs["y"], [38] * 4)


def test_only_the_outputs_asked_for(client):
  assert set(client.predict(tiny_inputs(), output_filter=["sum"])) == {"sum"}


@pytest.mark.parametrize(
  "change, code",
  [
    ({"name": "nobody"}, "NOT_FOUND"),
    ({"name": ""}, "INVALID_ARGUMENT"),
    ({"version": 1}, "NOT_FOUND"),
    ({"version": 99}, "NOT_FOUND"),
    ({"inputs": {}}, "INVALID_ARGUMENT"),
    ({"inputs": {"x": np.ones((2, 3), np.float32)}}, "INVALID_ARGUMENT"),
    ({"inputs": {**tiny_inputs(), "other": [1]}}, "INVALID_ARGUMENT"),
    ({"inputs": {**tiny_inputs(), "ids": np.ones(2, np.float32)}}, "INVALID_ARGUMENT"),
    ({"inputs": {**tiny_inputs(), "x": np.ones((2, 4), np.float32)}}, "INVALID_ARGUMENT"),
    ({"inputs": {**tiny_inputs(), "x": np.ones(2, np.float32)}}, "INVALID_ARGUMENT"),
    ({"inputs": {"examples": ["no Example"]}, "signature": "parse"}, "INVALID_ARGUMENT"),
    ({"output_filter": ["nothing"]}, "INVALID_ARGUMENT"),
  ],
)
def test_a_request_that_cannot_be_answered_gets_its_code(client, change, code):
  found, message = client.code_of(**{"inputs": tiny_inputs(), **change})
  assert found.name == code and message
  client.predict(tiny_inputs())


def test_metadata_holds_the_signatures(client):
  request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
  request.model_spec.name = _NAME
  response = client.prediction.GetModelMetadata(request, timeout=SECONDS)
  assert response.model_spec.version.value == 12
  found = get_model_metadata_pb2.SignatureDefMap()
  assert response.metadata["signature_def"].Unpack(found)
  assert {"serving_default", "parse", "rank"} <= set(found.signature_def)
  x = found.signature_def["serving_default"].inputs["x"]
  assert x.dtype == tf.float32.as_datatype_enum
  assert [dim.size for dim in x.tensor_shape.dim] == [-1, 3]


def test_metadata_of_another_kind_is_refused(client):
  request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["something"])
  request.model_spec.name = _NAME
  with pytest.raises(grpc.RpcError) as found:
    client.prediction.GetModelMetadata(request, timeout=SECONDS)
  assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def _status(client, name=_NAME, version=None):
  request = get_model_status_pb2.GetModelStatusRequest()
  request.model_spec.name = name
  if version is not None:
    request.model_spec.version.value = version
  response = client.models.GetModelStatus(request, timeout=SECONDS)
  return {each.version: each.state for each in response.model_version_status}


def test_status_of_all_versions_or_one(client):
  available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
  assert _status(client) == {3: available, 12: available}
  assert _status(client, version=3) == {3: available}


@pytest.mark.parametrize("asked", [{"name": "nobody"}, {"version": 99}])
def test_status_of_what_is_not_there(client, asked):
  with pytest.raises(grpc.RpcError) as found:
    _status(client, **asked)
  assert found.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
  "method, request_message",
  [
    ("Classify", classification_pb2.ClassificationRequest()),
    ("Regress", regression_pb2.RegressionRequest()),
    ("MultiInference", inference_pb2.MultiInferenceRequest()),
  ],
)
def test_other_methods_fail_without_harm(client, method, request_message):
  with pytest.raises(grpc.RpcError) as found:
    getattr(client.prediction, method)(request_message, timeout=SECONDS)
  assert found.value.details()
  client.predict(tiny_inputs())

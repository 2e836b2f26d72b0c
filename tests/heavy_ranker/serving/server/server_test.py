"""Both fronts of one server: the same answers, counted together, stopped together."""

import json
import urllib.request

import numpy as np
import pytest

from heavy_ranker.serving.server.announcement import announce
from heavy_ranker.serving.server.server import Server
from heavy_ranker.serving.server.settings import ANY_PORT, ServerSettings
from tests.heavy_ranker.serving.server.running_server import Client, tiny_inputs
from tests.heavy_ranker.serving.server.tiny_model import write_version
from tfrecords.errors import StorageError

BAZEL_SIZE = "large"


def _settings(base, **more):
  return ServerSettings(port=ANY_PORT, rest_api_port=ANY_PORT, model_base_path=str(base), **more)


@pytest.fixture
def server(tmp_path):
  write_version(tmp_path, 1, factor=3)
  server = Server(_settings(tmp_path))
  server.start()
  yield server
  server.stop(5)


def _ask(server, path, body=None):
  data = json.dumps(body).encode() if body is not None else None
  with urllib.request.urlopen(f"http://127.0.0.1:{server.rest_port}{path}", data, 30) as answer:
    return answer.read().decode()


def test_both_fronts_give_the_same_answers_and_are_counted(server):
  inputs = tiny_inputs(3)
  client = Client(server.grpc_port)
  expected = client.predict(inputs)
  client.channel.close()
  body = {"inputs": {name: array.tolist() for name, array in inputs.items()}}
  found = json.loads(_ask(server, "/v1/models/heavy_ranker:predict", body))["outputs"]
  assert set(found) == set(expected)
  for name, values in found.items():
    np.testing.assert_allclose(values, expected[name], rtol=1e-6)
  metrics = _ask(server, "/monitoring/prometheus/metrics")
  for api in ("grpc", "rest"):
    labels = f'api="{api}",model="heavy_ranker",signature="serving_default"'
    assert f'serving_requests_total{{{labels},status="OK"}} 1.0' in metrics
    assert f"serving_request_examples_sum{{{labels}}} 3.0" in metrics


def test_status_over_rest(server):
  found = json.loads(_ask(server, "/v1/models/heavy_ranker"))["model_version_status"]
  assert [(each["version"], each["state"]) for each in found] == [("1", "AVAILABLE")]


def test_the_announcement_says_where_and_what(server, tmp_path):
  text = announce(server, _settings(tmp_path))
  assert "serving heavy_ranker version 1 (signatures: parse, rank, serving_default)" in text
  assert f"gRPC: 127.0.0.1:{server.grpc_port}\n" in text
  assert f"http://127.0.0.1:{server.rest_port}/monitoring/prometheus/metrics\n" in text
  example = f"http://127.0.0.1:{server.rest_port}/v1/models/heavy_ranker/metadata"
  assert f"try: curl {example}\n" in text
  assert "serving_default" in _ask(server, "/v1/models/heavy_ranker/metadata")


def test_a_failed_start_gives_the_ports_back(tmp_path):
  server = Server(_settings(tmp_path))
  with pytest.raises(StorageError, match="no version that can be served"):
    server.start()
  ports = {"port": server.grpc_port, "rest_api_port": server.rest_port}
  write_version(tmp_path, 1)
  again = Server(ServerSettings(model_base_path=str(tmp_path), **ports))
  again.start()
  assert (again.grpc_port, again.rest_port) == tuple(ports.values())
  again.stop(5)

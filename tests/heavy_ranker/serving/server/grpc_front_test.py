"""The gRPC side: the ranker's own signatures, overload, deadlines, swaps, hostile messages."""

import threading
from concurrent import futures

import grpc
import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, model_management_pb2, predict_pb2

from heavy_ranker.model import build_model
from heavy_ranker.serving.server.grpc_front import make_grpc_server
from heavy_ranker.serving.server.settings import ServerSettings
from heavy_ranker.serving.signatures import ServingModule
from tests.heavy_ranker.serving.server.blocked_model import BlockedModel
from tests.heavy_ranker.serving.server.running_server import (
  SECONDS,
  predict_request,
  running,
  tiny_inputs,
)
from tests.heavy_ranker.serving.server.tiny_model import write_broken_version, write_version
from tests.heavy_ranker.small_run import WIDTHS, assert_outputs_close, make_example, small_config
from tfrecords.errors import StorageError

BAZEL_SIZE = "large"


@pytest.fixture
def base(tmp_path):
  write_version(tmp_path, 1, factor=1)
  return tmp_path


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
  """A server of the small heavy ranker, a client, and the same export in memory."""
  folder = tmp_path_factory.mktemp("ranker")
  config = small_config(folder)
  module = ServingModule(config, build_model(config))
  saved = folder / "saved"
  tf.saved_model.save(module, str(saved / "1"), signatures=module.functions())
  with running(model_base_path=saved) as (_, client):
    yield client, tf.saved_model.load(str(saved / "1"))


def _dense(rows, seed=0):
  generator = np.random.default_rng(seed)
  return {
    name: generator.standard_normal((rows, width)).astype(np.float32)
    for name, width in {**WIDTHS, "continuous": 7}.items()
  }


def _example_of(size):
  """Returns a record whose `continuous` has another size than the schema says."""
  example = make_example(np.random.default_rng(0))
  del example.features.feature["record.continuous"].float_list.value[size:]
  return example.SerializeToString()


@pytest.mark.parametrize("rows", [1, 7, 500])
def test_predict_equals_the_model(ranker, rows):
  client, model = ranker
  generator = np.random.default_rng(rows)
  examples = [make_example(generator).SerializeToString() for _ in range(rows)]
  for signature, inputs in (
    ("serving_default", _dense(rows)),
    ("score_examples", {"examples": examples}),
  ):
    expected = model.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
    found = client.predict(inputs, signature)
    assert set(found) == set(expected)
    assert_outputs_close(found, expected)


def test_what_is_no_number_reads_as_0(ranker):
  client, _ = ranker
  inputs = _dense(3)
  inputs["continuous"][0] = [np.nan, np.inf, -np.inf, 1, 2, 3, 4]
  as_zero = {**inputs, "continuous": np.nan_to_num(inputs["continuous"], posinf=0, neginf=0)}
  np.testing.assert_array_equal(client.predict(inputs)["score"], client.predict(as_zero)["score"])


@pytest.mark.parametrize(
  "content, words",
  [
    (b"no Example", "Could not parse example input, value: 'no Example'"),
    (b"\xff no text, either", "Could not parse"),
    (_example_of(2), "Values size: 2 but output shape: [9]"),
  ],
  ids=["text", "bytes", "sizes"],
)
def test_a_string_that_is_no_example_names_the_input(ranker, content, words):
  code, message = ranker[0].code_of({"examples": [content]}, "score_examples")
  assert code is grpc.StatusCode.INVALID_ARGUMENT
  assert message.startswith("signature 'score_examples': input 'examples': ")
  assert words in message and "\n" not in message


def test_too_many_candidates_and_too_many_bytes(base):
  with running(model_base_path=base, max_examples_a_request=4, max_request_bytes=4096) as (
    _,
    client,
  ):
    client.predict(tiny_inputs(4))
    code, message = client.code_of(tiny_inputs(5))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "1 to 4 examples" in message
    assert client.code_of(tiny_inputs(5000))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    client.predict(tiny_inputs(1))


def test_names_of_any_length_and_letters_come_back_shortened(base):
  with running(model_base_path=base) as (_, client):
    code, message = client.code_of(tiny_inputs(), name="é" * 100_000)
    assert code is grpc.StatusCode.NOT_FOUND and message.startswith("model 'éé")
    assert client.code_of({"é\n" * 100_000: [1]})[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_the_port_is_not_shared(base):
  with running(model_base_path=base) as (server, _):
    settings = ServerSettings(port=server.grpc_port, rest_api_port=0)
    with pytest.raises(StorageError, match=f"--port: 127.0.0.1:{server.grpc_port}.*in use"):
      make_grpc_server(server.manager, server.telemetry, settings)


def test_metadata_without_a_field_is_refused(base):
  with running(model_base_path=base) as (_, client):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "heavy_ranker"
    with pytest.raises(grpc.RpcError, match="metadata_field.*signature_def"):
      client.prediction.GetModelMetadata(request, timeout=SECONDS)


def test_reload_over_grpc(base):
  with running(model_base_path=base) as (server, client):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="other", base_path=str(base))
    client.models.HandleReloadConfigRequest(request, timeout=SECONDS)
    assert server.manager.names() == ["other"]
    client.predict(tiny_inputs(), name="other")
    request.config.model_config_list.config[0].base_path = str(base / "nowhere")
    with pytest.raises(grpc.RpcError, match="nowhere is missing") as found:
      client.models.HandleReloadConfigRequest(request, timeout=SECONDS)
    assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_overload_is_refused_and_the_rest_answered(base, monkeypatch):
  with running(model_base_path=base, max_running_requests=1, max_waiting_requests=2) as (_, client):
    blocked = BlockedModel(monkeypatch)
    with futures.ThreadPoolExecutor(10) as pool:
      calls = [pool.submit(client.predict, tiny_inputs()) for _ in range(10)]
      refused = _first_error(calls)
      blocked.release()
    codes = [call.exception().code().name if call.exception() else "OK" for call in calls]
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "try again later" in refused.details()
    assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"} and codes.count("OK") >= 3
    client.predict(tiny_inputs())


def _first_error(calls):
  done = futures.as_completed(calls, timeout=60)
  return next(call.exception() for call in done if call.exception())


@pytest.mark.parametrize("batching", [False, True])
def test_a_deadline_that_passes_in_the_queue(base, monkeypatch, batching):
  with running(model_base_path=base, max_running_requests=1, enable_batching=batching) as (
    server,
    client,
  ):
    blocked = BlockedModel(monkeypatch)
    with futures.ThreadPoolExecutor(4) as pool:
      first = pool.submit(client.predict, tiny_inputs(), timeout=60)
      blocked.wait_for_a_run()
      assert client.code_of(tiny_inputs(), timeout=0.2)[0] is grpc.StatusCode.DEADLINE_EXCEEDED
      blocked.release()
      assert first.result()
    client.predict(tiny_inputs())


def test_requests_are_joined_and_their_answers_are_their_own(base, tmp_path, monkeypatch):
  parameters = tmp_path / "batching.txt"
  parameters.write_text(
    "max_batch_size { value: 1000 } batch_timeout_micros { value: 0 } "
    "num_batch_threads { value: 1 }"
  )
  with running(model_base_path=base, enable_batching=True, batching_parameters_file=parameters) as (
    server,
    client,
  ):
    blocked = BlockedModel(monkeypatch)
    with futures.ThreadPoolExecutor(12) as pool:
      calls = [pool.submit(_scaled, client, 1)]
      blocked.wait_for_a_run()
      calls += [pool.submit(_scaled, client, rows) for rows in range(2, 13)]
      scheduler = server.manager._execution._scheduler
      while _waiting(scheduler) < 11:
        threading.Event().wait(0.005)
      blocked.release()
      for rows, call in enumerate(calls, 1):
        np.testing.assert_array_equal(call.result(), tiny_inputs(rows)["x"])
  assert len(blocked.sizes) == 2 and sum(blocked.sizes) == sum(range(1, 13))


def _waiting(scheduler):
  with scheduler._condition:
    return sum(len(batch.requests) for queue in scheduler._queues.values() for batch in queue)


def _scaled(client, rows):
  # Not client.response: the client is shared by threads.
  request = predict_request(tiny_inputs(rows))
  return tf.make_ndarray(client.prediction.Predict(request, timeout=SECONDS).outputs["y"])


@pytest.mark.parametrize("batching", [False, True])
def test_no_request_fails_while_versions_come_and_go(base, batching):
  with running(model_base_path=base, enable_batching=batching) as (server, client):
    done, answered = threading.Event(), []

    def keep_asking():
      while not done.is_set():
        answered.append(_scaled(client, 2)[0, 1])

    with futures.ThreadPoolExecutor(3) as pool:
      callers = [pool.submit(keep_asking) for _ in range(3)]
      try:
        for version in range(2, 8):
          write_version(base, version, factor=version)
          server.manager.poll_once()
        write_broken_version(base, 8)
        server.manager.poll_once()
        assert _scaled(client, 2)[0, 1] == 7
      finally:
        done.set()
      for caller in callers:
        caller.result()
    assert set(answered) <= set(range(1, 8)) and len(set(answered)) > 1
    assert [status.version for status in server.manager.status("heavy_ranker", 7)] == [7]


def test_stopping_answers_what_is_under_way_and_takes_no_more(base, monkeypatch):
  with running(model_base_path=base) as (server, client):
    blocked = BlockedModel(monkeypatch)
    with futures.ThreadPoolExecutor(2) as pool:
      call = pool.submit(_scaled, client, 3)
      blocked.wait_for_a_run()
      stopping = pool.submit(server.stop, 60)
      while client.code_of(tiny_inputs(), timeout=5)[0] is not grpc.StatusCode.UNAVAILABLE:
        pass
      assert not stopping.done()
      blocked.release()
      np.testing.assert_array_equal(call.result(60), tiny_inputs(3)["x"])
      stopping.result(60)


def test_requests_are_counted_by_model_signature_and_code(base):
  with running(model_base_path=base) as (server, client):
    client.predict(tiny_inputs(3))
    client.code_of({}, "nothing")
    client.code_of(tiny_inputs(), name="nobody")
    client.predict(tiny_inputs(3))
    text = server.telemetry.render()[0].decode()
  labels = 'api="grpc",model="{}",signature="{}",status="{}"'
  for names, count in (
    (("heavy_ranker", "serving_default", "OK"), 2),
    (("heavy_ranker", "unknown", "NOT_FOUND"), 1),
    (("unknown", "unknown", "NOT_FOUND"), 1),
  ):
    assert f"serving_requests_total{{{labels.format(*names)}}} {count}.0" in text
  assert "serving_request_examples_sum" in text and "nobody" not in text


_tensors = strategies.builds(
  tensor_pb2.TensorProto,
  dtype=strategies.sampled_from([0, 1, 2, 3, 7, 9, 14, 19, 20, 21, 101, 2**31 - 1]),
  tensor_shape=strategies.builds(
    lambda sizes, unknown: tf.TensorShape(None).as_proto() if unknown else _shape(sizes),
    strategies.lists(strategies.sampled_from([-(2**63), -1, 0, 1, 2, 3, 2**40, 2**63 - 1])),
    strategies.booleans(),
  ),
  tensor_content=strategies.binary(max_size=24),
  float_val=strategies.lists(strategies.floats(width=32), max_size=7),
  int64_val=strategies.lists(strategies.integers(-(2**63), 2**63 - 1), max_size=3),
  string_val=strategies.lists(strategies.binary(max_size=9), max_size=3),
)


def _shape(sizes):
  proto = tf.TensorShape([]).as_proto()
  for size in sizes:
    proto.dim.add(size=size)
  return proto


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
  base = tmp_path_factory.mktemp("fuzzed")
  write_version(base, 1)
  with running(model_base_path=base) as (_, client):
    yield client


_EXPECTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}


@hypothesis.given(
  signature=strategies.sampled_from(["", "parse", "rank", "other", "\0"]),
  inputs=strategies.dictionaries(
    strategies.sampled_from(["x", "ids", "examples", "user", "", "\n"]), _tensors, max_size=3
  ),
  version=strategies.one_of(strategies.none(), strategies.integers(-(2**63), 2**63 - 1)),
  label=strategies.one_of(strategies.none(), strategies.text(max_size=5)),
  output_filter=strategies.lists(strategies.sampled_from(["y", "sum", "", "z"]), max_size=2),
)
@hypothesis.settings(max_examples=150, deadline=None)
def test_no_request_harms_the_server(fuzzed, signature, inputs, version, label, output_filter):
  spec = {"version": version, "label": label, "output_filter": output_filter}
  spec = {key: value for key, value in spec.items() if value is not None}
  assert _code(fuzzed, predict_request(inputs, signature, **spec)) in _EXPECTED


@hypothesis.given(strategies.binary(max_size=200))
@hypothesis.settings(max_examples=60, deadline=None)
def test_no_bytes_harm_the_server(fuzzed, content):
  call = fuzzed.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
  with pytest.raises(grpc.RpcError) as found:
    call(content, timeout=SECONDS)
  # INTERNAL is what gRPC itself says of bytes that are no message.
  assert found.value.code().name in {*_EXPECTED, "INTERNAL"}
  fuzzed.predict(tiny_inputs())


def _code(client, request: predict_pb2.PredictRequest):
  try:
    client.prediction.Predict(request, timeout=SECONDS)
  except grpc.RpcError as error:
    return error.code().name
  return "OK"

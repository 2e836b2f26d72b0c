"""The client against servers of nothing but an export, over gRPC and over REST."""

import json
import socket
import threading

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.untrained_export import write_untrained_export
from heavy_ranker.serving.client import Client
from heavy_ranker.serving.ranking import rank
from heavy_ranker.serving.request_file import read_request
from heavy_ranker.serving.scored_file import score_file
from heavy_ranker.serving.serving_error import ServingError
from tests.end_to_end.command_runner import run
from tests.heavy_ranker.evaluation.user_run import NUM_EXAMPLES, user_config, users
from tests.heavy_ranker.serving.fake_server import SERVE, ServedExport
from tests.heavy_ranker.small_run import TASKS, assert_outputs_close
from tfrecords.errors import DataError

BAZEL_SIZE = "large"
WIDTHS = {"continuous": 7, "binary": 5, "user_embedding": 4, "author_embedding": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("client")
  write_untrained_export(user_config(path), str(path / "saved"))
  return path


@pytest.fixture(scope="module")
def export(folder):
  return ServedExport(str(folder / "saved" / "1"))


@pytest.fixture(params=["grpc", "rest"])
def api(request):
  return request.param


@pytest.fixture
def address(api, export):
  export.fail = None
  with SERVE[api](export) as found:
    export.sizes.clear()
    yield found


@pytest.fixture
def client(api, address):
  with Client(address, api, timeout_seconds=60) as found:
    yield found


def candidates(count=5):
  generator = np.random.default_rng(1)
  return {name: generator.normal(size=(count, width)) for name, width in WIDTHS.items()}


def records(folder):
  files = sorted(str(path) for path in (folder / "data").glob("*.gz"))
  return list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def check(found, expected):
  assert set(found) == set(expected) == {"score", "probabilities", *TASKS}
  assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
  assert_outputs_close(found, expected)


def test_dense_inputs_as_doubles_or_lists(client, export):
  doubles = candidates()
  floats = {name: array.astype("f") for name, array in doubles.items()}
  expected = export.run("serving_default", floats)
  check(client.score(doubles), expected)
  check(client.score({name: array.tolist() for name, array in floats.items()}), expected)
  whole = {**floats, "binary": np.ones((5, 5), np.int64)}
  floats["binary"] = np.ones((5, 5), "f")
  check(client.score(whole), export.run("serving_default", floats))


def test_records_in_as_many_requests_as_it_takes(folder, api, address, export):
  every = records(folder)
  with Client(address, api, examples_a_request=50) as client:
    found = client.score_examples(every)
  assert export.sizes == [50, 50, 20]
  check(found, export.run("score_examples", {"examples": every}))


def test_metadata_and_status(client):
  signatures = client.metadata()
  assert {"serving_default", "score_examples"} <= set(signatures)
  inputs = signatures["serving_default"].inputs
  assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {
    name: (tf.float32, [None, width]) for name, width in WIDTHS.items()
  }
  assert signatures["score_examples"].inputs["examples"].dtype is tf.string
  assert signatures["score_examples"].outputs["probabilities"].shape.as_list() == [None, 3]
  loading, broken = client.status()
  assert (loading.version, loading.state, loading.error) == (2, "LOADING", "")
  assert (broken.version, broken.state, broken.error) == (1, "END", "broken")


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_refusals_keep_their_code_and_the_client_works_on(client, export, address, code):
  client.metadata()
  export.fail = code
  with pytest.raises(ServingError, match=f"{address}: .*as told") as caught:
    client.score(candidates())
  assert caught.value.code == code
  export.fail = None
  assert len(client.score(candidates())["score"]) == 5


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"continuous": [[1, 2], [3]]}, "inputs.continuous: found no rectangular array"),
    ({"continuous": [["a"] * 7]}, "inputs.continuous: found values of dtype <U1, allowed: float32"),
    ({"nothing": [[1.0]]}, "nothing"),
  ],
)
def test_inputs_that_cannot_be_sent(client, change, words):
  with pytest.raises(ServingError, match=words) as caught:
    client.score({**candidates(), **change})
  assert caught.value.code == "INVALID_ARGUMENT"
  with pytest.raises(ServingError, match="inputs.examples: found something else than strings"):
    client.score_examples([7])


def test_no_such_model_version_or_signature(api, address, client):
  for options in ({"model_name": "a/b ü"}, {"label": "nowhere"}):
    with Client(address, api, **options) as other, pytest.raises(ServingError) as caught:
      other.metadata()
    assert caught.value.code == "NOT_FOUND"
  with pytest.raises(
    ServingError, match="no signature 'nothing', found: rank, score_examples, serving"
  ):
    client.score(candidates(), "nothing")
  with pytest.raises(ServingError, match="found the inputs .*, allowed: a signature of records"):
    client.score_examples([b""], "serving_default")


def test_nobody_there_and_nobody_answering(api):
  with socket.socket() as silent:
    silent.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    client = Client(address, api, timeout_seconds=60)
    with client, pytest.raises(ServingError, match=address) as caught:
      client.status()
    assert caught.value.code == "UNAVAILABLE"
    silent.listen()
    client = Client(address, api, timeout_seconds=0.5)
    with client, pytest.raises(ServingError) as caught:
      client.status()
    assert caught.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


@pytest.mark.parametrize(
  ("answer", "code", "words"),
  [
    (b"HTTP/1.1 200 OK\r\n\r\n<html>", "INTERNAL", "no answer of TensorFlow Serving's API: <html>"),
    (b'HTTP/1.1 200 OK\r\n\r\n{"metadata": {}}', "INTERNAL", "metadata without signatures"),
    (b"HTTP/1.1 413 Too Large\r\n\r\n", "INVALID_ARGUMENT", "HTTP 413: Too Large"),
    (b"HTTP/1.1 504 Late\r\n\r\n{}", "DEADLINE_EXCEEDED", "HTTP 504"),
    (b"SSH-2.0\r\n", "UNAVAILABLE", "SSH-2.0"),
  ],
)
def test_something_else_answers_over_http(answer, code, words):
  with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()

    def speak():
      connection, _ = server.accept()
      with connection:
        connection.recv(1 << 16)
        connection.sendall(answer)

    thread = threading.Thread(target=speak)
    thread.start()
    client = Client(f"http://127.0.0.1:{server.getsockname()[1]}", "rest")
    with client, pytest.raises(ServingError, match=words) as caught:
      client.metadata()
    thread.join()
  assert caught.value.code == code


def test_an_idle_connection_that_the_server_has_ended_is_opened_again(export):
  with SERVE["rest"](export) as address, Client(address, "rest") as client:
    client.status()
    # The far side is gone, as after a server's timeout for idle connections.
    client._transport._connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.status()[0].version == 2


def test_a_target_that_is_no_address():
  with pytest.raises(ServingError, match="found ftp://, allowed: http, https"):
    Client("ftp://host:1", "rest")
  with pytest.raises(ServingError, match="allowed: host:port"):
    Client("host:port", "rest")
  with pytest.raises(ValueError, match="api: found 'soap'"):
    Client(api="soap")
  with pytest.raises(ValueError, match="a version and a label"):
    Client(version=1, label="stable")


def test_files_of_records_are_ranked_with_their_ids(folder, api, address, export):
  with Client(address, api) as client:
    ranking = score_file(client, str(folder / "data" / "*.gz"), examples_a_request=30)
  expected = export.run("score_examples", {"examples": records(folder)})["score"]
  assert_outputs_close({"score": ranking.scores}, {"score": expected})
  assert ranking.order.tolist() == np.argsort(-ranking.scores, kind="stable").tolist()
  best = ranking.as_data()[0]
  assert best["candidate"] == int(np.argmax(expected))
  assert best["ids"] == {"meta.user_id": int(users()[best["candidate"]])}
  assert list(best["probabilities"]) == list(ranking.probabilities)
  assert set(best["probabilities"]) == set(TASKS)
  lines = ranking.table(3).splitlines()
  assert len(lines) == 5
  assert lines[2].split()[:2] == ["1", str(best["candidate"])]
  assert len(ranking.as_data()) == NUM_EXAMPLES


def test_a_bad_record_is_placed(client, tmp_path):
  wide = tf.train.Example()
  wide.features.feature["record.continuous"].float_list.value.extend(range(10))
  with tf.io.TFRecordWriter(str(tmp_path / "bad")) as writer:
    for record in (b"", b"", wide.SerializeToString()):
      writer.write(record)
  with pytest.raises(ServingError, match="bad: records 2 to 2: ") as caught:
    score_file(client, str(tmp_path / "bad"), ids=[], examples_a_request=2)
  assert caught.value.code == "INVALID_ARGUMENT"


def write_request(path, content):
  path.write_text(content if isinstance(content, str) else json.dumps(content))
  return str(path)


def test_requests_by_column_and_by_row(client, export, tmp_path):
  columns = {name: array.astype("f").tolist() for name, array in candidates(4).items()}
  rows = [{name: columns[name][row] for name in columns} for row in range(4)]
  expected = export.run("serving_default", {n: np.array(v, "f") for n, v in columns.items()})
  for content in ({"inputs": columns}, {"signature_name": "serving_default", "instances": rows}):
    ranking = score_file(client, write_request(tmp_path / "r.json", content))
    assert_outputs_close({"score": ranking.scores}, {"score": expected["score"]})
    assert ranking.ids == {}
  empty = {"signature_name": "score_examples", "instances": [{"b64": ""}, {"b64": ""}]}
  assert len(score_file(client, write_request(tmp_path / "r.json", empty)).scores) == 2
  with pytest.raises(DataError, match="found values without a name, allowed: continuous"):
    score_file(client, write_request(tmp_path / "r.json", {"inputs": [[1.0]]}))


@pytest.mark.parametrize(
  ("content", "words"),
  [
    ("{", "no JSON"),
    ("[" * 100_000, "no JSON"),
    ([1], r'found list, allowed: \{"signature_name"'),
    ({"inputs": {}, "instances": []}, "found .'inputs', 'instances'."),
    ({"instances": []}, "instances: found list, allowed: a list of rows"),
    ({"instances": [{"a": 1}, {"b": 1}]}, "instances.1: found other inputs"),
    ({"instances": [{"a": 1}, 2]}, "instances.1: found other inputs"),
    ({"inputs": {"a": [{"c": 1}]}}, "a: found an object of .'c'."),
    ({"inputs": {"a": [{"b64": "é"}]}}, "a: "),
    ({"inputs": {"a": 1}, "signature_name": 3}, "signature_name: found 3"),
  ],
)
def test_requests_that_are_none(tmp_path, content, words):
  with pytest.raises(DataError, match=words):
    read_request(write_request(tmp_path / "r.json", content))


def test_equal_scores_keep_their_order_and_tasks_may_lack_names():
  outputs = {
    "score": np.array([1, 3, 1, 3], "f"),
    "probabilities": np.array([[0.5, 0.25]] * 4, "f"),
    "order": np.array([1, 3, 0, 2], np.int32),
  }
  ids = {"name": np.ma.masked_array([b"a", b"\xff", b"c", b"d"], [0, 0, 1, 0], object)}
  ranking = rank(outputs, ids)
  assert ranking.order.tolist() == [1, 3, 0, 2]
  assert "task 0 0.5, task 1 0.25" in ranking.table(1)
  assert [row["ids"]["name"] for row in ranking.as_data()] == ["\\xff", "d", "a", None]
  assert ranking.table(0).startswith("position")


def test_the_command(folder, api, address, tmp_path):
  flags = [f"--server={address}", f"--api={api}", f"--input_path={folder}/data/part-0.gz"]
  done = run("heavy_ranker.client", *flags, "--k=4", "--output_path=new/all.json", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  assert "meta.user_id" in done.stdout
  assert "4 of 40 candidates" in done.stdout
  assert len(json.loads((tmp_path / "new" / "all.json").read_text())) == 40
  refused = run("heavy_ranker.client", *flags, "--model_name=other", cwd=tmp_path)
  assert refused.returncode == 9
  assert refused.stderr.startswith("error: ")
  assert "no such model" in refused.stderr

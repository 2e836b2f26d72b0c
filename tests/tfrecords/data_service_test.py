"""A tf.data service of processes, some of which end midway."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.tfrecords import record_files
from tfrecords import data_service_server
from tfrecords.errors import ConfigError, NothingNewError
from tfrecords.input_pipeline import InputPipeline

BAZEL_SIZE = "large"
_SECONDS = 120
_FILES = 12
_READER = """
import sys
import tfrecords
from tfrecords import service_watch
service_watch.SECONDS_AWAY = service_watch.SECONDS_WITHOUT_BATCH = 4.0
import time
from pathlib import Path
from tests.tfrecords import record_files
from tfrecords.input_pipeline import InputPipeline
folder, service, mode = Path(sys.argv[1]), *sys.argv[2:]
config = record_files.data_config(folder, data_service_dispatcher=service)
pipeline = InputPipeline(config, mode)
with pipeline.explained():
  for number, batch in enumerate(pipeline.dataset):
    if number == 9:
      print("reads", flush=True)
      while mode == "evaluate" and not (folder / "go_on").exists():
        time.sleep(0.1)
"""


def _free_port():
  with socket.socket() as unused:
    unused.bind(("localhost", 0))
    return unused.getsockname()[1]


class Service:
  """Processes of a service in one folder."""

  def __init__(self, folder, stack):
    self._folder, self._stack = folder, stack
    self.port = _free_port()
    self.address = f"grpc://localhost:{self.port}"

  def start(self, *flags, program=("-m", "tfrecords.data_service"), ready="ready"):
    log = self._folder / f"{len(list(self._folder.glob('*.log')))}.log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with log.open("wb") as file:
      process = subprocess.Popen(
        [sys.executable, *program, *flags], env=environment, stdout=file, stderr=subprocess.STDOUT
      )
    self._stack.callback(process.wait)
    self._stack.callback(process.kill)
    process.log = log
    deadline = time.monotonic() + _SECONDS
    while ready and ready not in log.read_text():
      assert process.poll() is None and time.monotonic() < deadline, log.read_text()
      time.sleep(0.2)
    return process

  def dispatcher(self, journal="journal"):
    work_dir = f"--work_dir={self._folder / journal}"
    return self.start("--role=dispatcher", f"--port={self.port}", work_dir)

  def worker(self, port=0):
    address = f"--worker_address=localhost:{port or '%port%'}"
    dispatcher = f"--dispatcher=localhost:{self.port}"
    return self.start("--role=worker", dispatcher, f"--port={port}", address)


@pytest.fixture(name="service")
def service_fixture(tmp_path):
  with contextlib.ExitStack() as stack:
    yield Service(tmp_path, stack)


def _ids(batch):
  return batch[0]["meta__author_id"].numpy()[:, 0].tolist()


def test_reading_survives_a_restart_of_the_dispatcher_and_the_loss_of_a_worker(service, tmp_path):
  record_files.write_shards(tmp_path, [8] * _FILES)
  dispatcher, first, _ = service.dispatcher(), service.worker(), service.worker()
  config = record_files.data_config(tmp_path, data_service_dispatcher=service.address)
  whole = list(range(8 * _FILES))
  evaluated = InputPipeline(config, "evaluate").dataset
  assert sorted(sum(map(_ids, evaluated), [])) == whole

  batches = iter(InputPipeline(config, "train").dataset)
  for _ in range(5):
    assert len(_ids(next(batches))) == 4
  dispatcher.kill()
  dispatcher.wait()
  service.dispatcher()
  for _ in range(5):
    next(batches)
  first.kill()
  found, deadline = set(), time.monotonic() + _SECONDS
  while found != set(whole):
    found.update(_ids(next(batches)))
    assert time.monotonic() < deadline


def test_a_dispatcher_that_does_not_come_back_ends_the_run(service, tmp_path):
  record_files.write_shards(tmp_path, [8] * 2)
  dispatcher, _ = service.dispatcher(), service.worker()
  flags = [str(tmp_path), service.address, "train"]
  reader = service.start(*flags, program=("-c", _READER), ready="reads")
  dispatcher.kill()
  assert reader.wait(_SECONDS) == NothingNewError.exit_code
  said = reader.log.read_text()
  assert f"error: train_data.data_service_dispatcher: nothing answers at {service.address}" in said
  assert "a dispatcher that is back within 4 s" in said


def test_evaluation_survives_a_worker_that_comes_back_and_ends_without_one(service, tmp_path):
  # More than a worker sends ahead of what is read.
  files, records = 4, 1500
  record_files.write_shards(tmp_path, [records] * files)
  config = record_files.data_config(tmp_path, data_service_dispatcher=service.address)
  dispatcher, port = service.dispatcher(), _free_port()
  lost, _ = service.worker(port), service.worker()

  batches = iter(InputPipeline(config, "evaluate").dataset)
  found = sum((_ids(next(batches)) for _ in range(9)), [])
  lost.kill()
  lost.wait()
  lost = service.worker(port)
  found += sum(map(_ids, batches), [])
  assert sorted(found) == list(range(records * files))

  flags = [str(tmp_path), service.address, "evaluate"]
  reader = service.start(*flags, program=("-c", _READER), ready="reads")
  lost.kill()
  (tmp_path / "go_on").touch()
  assert reader.wait(_SECONDS) == NothingNewError.exit_code
  said = reader.log.read_text()
  where = "error: train_data.data_service_dispatcher"
  assert f"{where}: the service at {service.address} has sent no batch for " in said
  assert "a worker is lost, or too slow" in said and "a batch within 4 s" in said

  # The other way out that the message names.
  dispatcher.kill()
  dispatcher.wait()
  service.dispatcher("another journal")
  evaluated = InputPipeline(config, "evaluate").dataset
  assert sorted(sum(map(_ids, evaluated), [])) == list(range(records * files))


def test_sigterm_ends_a_process_in_peace(service):
  dispatcher = service.dispatcher()
  dispatcher.send_signal(signal.SIGTERM)
  assert dispatcher.wait(_SECONDS) == 0


def test_a_port_in_use_is_named(service):
  with socket.socket() as other:
    other.bind(("", service.port))
    other.listen()
    process = service.start("--role=dispatcher", f"--port={service.port}", ready=None)
    assert process.wait(_SECONDS) == ConfigError.exit_code
  assert f"error: --port: {service.port} is in use" in process.log.read_text()


@pytest.mark.parametrize(
  "flags, message",
  [
    ([], "--role: found nothing"),
    (["--role=worker"], "--dispatcher: found nothing"),
    (["--role=worker", "--dispatcher=here"], "--dispatcher: found 'grpc://here'"),
    (["--role=worker", "--work_dir=x"], "--work_dir: found 'x', allowed: nothing for a worker"),
    (["--role=dispatcher", "--dispatcher=a:1"], "--dispatcher: found 'a:1', allowed: nothing"),
    (["--role=dispatcher", "--fault_tolerant_mode"], "found true without --work_dir"),
    (["--role=dispatcher", "--port=0", "--work_dir=x"], "--port: found 0"),
    (["--role=dispatcher", "--set", "a=1"], "--config_path, --set: found one"),
  ],
)
def test_flags_that_cannot_work_are_named(flags, message, service):
  process = service.start(*flags, ready=None)
  assert process.wait(_SECONDS) == ConfigError.exit_code
  assert message in process.log.read_text()


def test_a_worker_waits_for_a_dispatcher_only_so_long(monkeypatch):
  monkeypatch.setattr(data_service_server, "_SECONDS_TO_FIND_DISPATCHER", 1.0)
  message = "nothing answers at grpc://localhost:1 within 1 s"
  with pytest.raises(NothingNewError, match=message), data_service_server.worker("localhost:1"):
    pass

"""A run ends when its data service is away, or sends nothing, for too long; and only then."""

import contextlib
import itertools
import socket
import threading

import pytest

from tfrecords import service_watch
from tfrecords.errors import NothingNewError
from tfrecords.service_watch import ServiceWatch

KEY = "validation_data.days.data_service_dispatcher"
_SECONDS = 60


class Requests:
  """Has the same request open at each look, or what it is given."""

  def __init__(self, open_at_looks=None):
    self._looks = itertools.repeat(7) if open_at_looks is None else iter(open_at_looks)
    self.are_all_seen = threading.Event()
    self.are_forgotten = False

  def forget(self):
    self.are_forgotten = True

  def oldest(self):
    request = next(self._looks, "seen")
    if request == "seen":
      self.are_all_seen.set()
      return None
    return request


@pytest.fixture(name="exits")
def exits_fixture(monkeypatch):
  exits, ended = [], threading.Event()

  def exit_now(code):
    exits.append(code)
    ended.set()

  monkeypatch.setattr(service_watch.os, "_exit", exit_now)
  for name in ("SECONDS_AWAY", "SECONDS_WITHOUT_BATCH", "SECONDS_WITHOUT_BATCH_IN_TRAINING"):
    monkeypatch.setattr(service_watch, name, 0.2)
  monkeypatch.setattr(service_watch, "_POLL_SECONDS", 0.05)
  return exits, ended


@contextlib.contextmanager
def _dispatcher():
  with socket.socket() as server:
    server.bind(("localhost", 0))
    server.listen(1000)
    yield f"grpc://localhost:{server.getsockname()[1]}"


@pytest.mark.parametrize(
  "is_training, lost",
  [
    (False, "a worker is lost, or too slow, that had begun a file and so is waited for"),
    (True, "all its workers are lost or too slow"),
  ],
)
def test_a_service_that_sends_nothing_ends_the_run(is_training, lost, exits, capfd):
  codes, ended = exits
  requests = Requests()
  with _dispatcher() as service, ServiceWatch(service, KEY, requests, is_training):
    assert ended.wait(_SECONDS)
  assert codes[0] == NothingNewError.exit_code and requests.are_forgotten
  said = capfd.readouterr().err
  assert said.startswith(f"error: {KEY}: the service at {service} has sent no batch for ")
  assert lost in said and "with the same --port and --worker_address" in said
  assert f"--set {KEY}=null" in said


@pytest.mark.parametrize("looks", [[None] * 20, list(range(20)), [1, 1, None, 2, 2, 3] * 4])
def test_a_service_that_answers_or_is_not_asked_lets_the_run_go_on(looks, exits, monkeypatch):
  # Longer than any request here is open, in looks.
  monkeypatch.setattr(service_watch, "SECONDS_WITHOUT_BATCH", 1e6)
  codes, _ = exits
  requests = Requests(looks)
  with _dispatcher() as service, ServiceWatch(service, KEY, requests, False):
    assert requests.are_all_seen.wait(_SECONDS)
  assert codes == []


def test_a_dispatcher_that_is_away_ends_the_run(exits, capfd):
  codes, ended = exits
  with _dispatcher() as service:
    pass
  with ServiceWatch(service, KEY, Requests([None]), True):
    assert ended.wait(_SECONDS)
  assert codes[0] == NothingNewError.exit_code
  assert f"error: {KEY}: nothing answers at {service} for " in capfd.readouterr().err

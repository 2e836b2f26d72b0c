"""Workers that meet, or do not: each a thread of this process, over real connections."""

import contextlib
import dataclasses
import re
import socket
import threading
import time

import pytest

from heavy_ranker.training.cluster.introduction import Introduction, difference, flatten
from heavy_ranker.training.cluster.rendezvous import meet
from heavy_ranker.training.cluster.tf_config import Membership
from tests.heavy_ranker.training.cluster.workers import free_addresses
from tfrecords.errors import ClusterError, ConfigError, UserError

SETTINGS = {"training.seed": 0, "train_data.inputs": "/data/*"}


def introduction(index, **changes):
  fields = {
    "cluster": "abc",
    "digest": "d" * 64,
    "settings": SETTINGS,
    "versions": {"tensorflow": "2.16.2"},
    "num_gpus": 0,
    "clock": time.time(),
  }
  return Introduction(index=index, **{**fields, **changes})


def members(count, addresses=None):
  names = tuple(f"worker {index}" for index in range(count))
  addresses = tuple(addresses or free_addresses(count))
  return [Membership(names, addresses, index) for index in range(count)]


def meet_all(everybody, introductions=None, timeout=20.0):
  """What came of it for each: a Meeting or an error."""
  introductions = introductions or [introduction(each.index) for each in everybody]
  results = {}

  def run(place):
    try:
      results[place] = meet(everybody[place], introductions[place], timeout)
    except UserError as error:
      results[place] = error

  threads = [threading.Thread(target=run, args=(place,)) for place in range(len(everybody))]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return [results[place] for place in range(len(everybody))]


def test_workers_that_fit_together_meet():
  chief, *others = meet_all(members(3))
  assert {each.run_id for each in others} == {chief.run_id}
  assert sorted(chief.connections) == [1, 2]
  chief.connections[2].send({"kind": "beat"})
  assert others[1].connections[0].receive(5) == {"kind": "beat"}


@pytest.mark.parametrize(
  "changes, message",
  [
    (
      {"digest": "e" * 64, "settings": {**SETTINGS, "training.seed": 7}},
      "worker 2 .* has another configuration .digest eeeeeeeeeeee. than the chief "
      ".dddddddddddd.: training.seed is 0 on the chief, 7 on worker 2",
    ),
    ({"versions": {"tensorflow": "2.15"}}, "other versions than the chief: tensorflow is '2.16.2'"),
    ({"cluster": "x"}, "has other addresses in its TF_CONFIG than the chief"),
    ({"num_gpus": 2}, r"has 2 GPU\(s\), the chief 0"),
    ({"clock": 0.0}, "clock is .* s behind the chief's, allowed: 60 s"),
    ({"index": 1}, "two processes take themselves for worker 1"),
    ({"index": 0}, "two processes take themselves for worker 0"),
  ],
)
def test_all_workers_hear_why_one_does_not_fit(changes, message):
  fitting = [introduction(0), introduction(1)]
  results = meet_all(members(3), [*fitting, introduction(**{"index": 2, **changes})])
  for result in results:
    assert isinstance(result, ClusterError)
    assert re.search(message, str(result)), result


def test_a_worker_that_does_not_come_is_named():
  everybody = members(3)
  results = meet_all(everybody[:2], timeout=1.5)
  assert f"worker 2 ({everybody[0].addresses[2]}) did not come in time" in str(results[0])
  assert isinstance(results[1], ClusterError)


def test_a_chief_that_does_not_come_is_named():
  everybody = members(2)
  with pytest.raises(ClusterError, match=r"worker 0 \(127.* cannot be reached .*refused"):
    meet(everybody[1], introduction(1), 1.0)


def test_a_port_in_use_is_named():
  everybody = members(2)
  port = int(everybody[0].addresses[0].rsplit(":", 1)[1])
  with socket.socket() as other:
    other.bind(("127.0.0.1", port))
    other.listen()
    with pytest.raises(ConfigError, match=rf"worker 0 \(.*\): port {port} of this machine is in"):
      meet(everybody[0], introduction(0), 5.0)


def test_something_else_at_the_chiefs_address_is_an_error():
  everybody = members(2)
  host, port = everybody[0].addresses[0].rsplit(":", 1)
  with socket.create_server((host, int(port))) as server:

    def answer():
      with contextlib.suppress(OSError):
        while True:
          server.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\n")

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(ClusterError, match="what listens there is no worker"):
      meet(everybody[1], introduction(1), 1.0)
    server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\n", b'{"kind": "hello"}\n', b"[]\n"])
def test_probes_of_the_chiefs_port_change_nothing(said):
  everybody = members(2)
  host, port = everybody[0].addresses[0].rsplit(":", 1)
  results = {}
  chief = threading.Thread(
    target=lambda: results.update(chief=meet(everybody[0], introduction(0), 20.0))
  )
  chief.start()
  deadline = time.monotonic() + 10
  while True:
    try:
      with socket.create_connection((host, int(port))) as probe:
        probe.sendall(said)
      break
    except OSError:
      assert time.monotonic() < deadline
  meet(everybody[1], introduction(1), 20.0)
  chief.join()
  assert sorted(results["chief"].connections) == [1]


def test_a_worker_behind_a_firewall_is_named():
  # The chief has another address for it, where nothing listens.
  right = free_addresses(3)
  chief, worker = members(2, right[:2])
  chief = dataclasses.replace(chief, addresses=(right[0], right[2]))
  for result in meet_all([chief, worker]):
    assert re.search(r"worker 1 .* cannot be reached from worker 0 .*refused", str(result))


def test_clocks_may_differ_a_little():
  ours, theirs = introduction(0, clock=1000.0), introduction(1, clock=1050.0)
  assert difference(ours, theirs, "worker 1", now=1001.0) is None
  assert "is 61 s ahead of" in difference(ours, theirs, "worker 1", now=989.0)


def test_settings_are_told_by_dotted_key():
  content = {"a": {"b": [1, {"c": None}], "d": {}}, "e": "x"}
  assert flatten(content) == {"a.b.0": 1, "a.b.1.c": None, "a.d": {}, "e": "x"}

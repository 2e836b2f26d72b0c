"""What workers tell each other while they train: waiting, stopping together, losing one."""

import threading
import time

import pytest

from heavy_ranker.training.cluster import member as member_module
from heavy_ranker.training.cluster.member import Member
from tests.heavy_ranker.training.cluster.rendezvous_test import meet_all, members
from tfrecords.errors import ClusterError

LOST_AFTER = 5.0


@pytest.fixture(name="three")
def three_fixture():
  everybody = members(3)
  joined = [
    Member(each, meeting, LOST_AFTER) for each, meeting in zip(everybody, meet_all(everybody))
  ]
  yield joined
  for each in joined:
    each.leave()


def in_threads(*functions):
  """What each returns or raises."""
  results = [None] * len(functions)

  def run(place):
    try:
      results[place] = functions[place]()
    except ClusterError as error:
      results[place] = error

  threads = [threading.Thread(target=run, args=(place,)) for place in range(len(functions))]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(30)
    assert not thread.is_alive()
  return results


def test_gather_waits_for_all_and_tells_all_what_each_brought(three):
  for round_ in range(3):
    values = [[index, round_] for index in range(3)]
    found = in_threads(*(lambda m=m, v=v: m.gather("here", v) for m, v in zip(three, values)))
    assert found == [values] * 3


def test_workers_stop_after_the_last_step_that_any_has_begun(three):
  lockstep = threading.Barrier(3)
  begun = [0, 0, 0]

  def train(place):
    for step in range(1, 500):
      if not three[place].may_begin(step):
        return step - 1
      begun[place] = step
      # As the collectives of a step: nobody ends it before all have begun it.
      lockstep.wait(20)
      if place == 2 and step == 3:
        three[place].request_stop()
      time.sleep(0.01 * place)
    return None

  found = in_threads(*(lambda place=place: train(place) for place in range(3)))
  assert found[0] is not None
  assert found == [found[0]] * 3 == begun


def test_a_stop_can_be_requested_while_waiting(three):
  chief, *others = three
  # As the chief that measures a checkpoint, which all others wait for.
  found = in_threads(
    lambda: _come_after_stop(chief),
    *(lambda m=m: m.gather("measured", None, m.request_stop) for m in others),
  )
  assert found == [["given up", None, None]] * 3
  assert not any(member.may_begin(1) for member in three)


def _come_after_stop(member):
  assert not member.is_stop_requested
  deadline = time.monotonic() + 20
  while not member.is_stop_requested and time.monotonic() < deadline:
    time.sleep(0.01)
  assert member.is_stop_requested
  return member.gather("measured", "given up")


def test_the_end_of_a_process_ends_the_waiting_of_all_others(three):
  # As a dead process leaves it: without a word.
  three[1]._is_over.set()
  three[1]._chief.close()
  for error in in_threads(lambda: three[0].gather("x"), lambda: three[2].may_begin(1) and None):
    if error is not None:
      assert "worker 1 (127.0.0.1:" in str(error) and "its process has ended" in str(error)
  assert "worker 1" in three[2].wait_for_failure(10)
  with pytest.raises(ClusterError, match="start all workers again"):
    three[2].may_begin(2)


def test_an_error_of_one_worker_is_told_to_all_others(three):
  three[2].leave("DataError: part-3.gz: record 7 is damaged")
  for other in three[:2]:
    assert "worker 2" in other.wait_for_failure(10)
    assert "it ended with: DataError: part-3.gz: record 7 is damaged" in other.failure


def test_the_chiefs_error_is_told_to_all_workers(three):
  three[0].leave("StorageError: full")
  for other in three[1:]:
    assert "worker 0" in other.wait_for_failure(10) and "StorageError: full" in other.failure


def test_leaving_in_peace_is_no_loss(three):
  in_threads(*(lambda m=m: m.gather("the end") for m in three))
  for each in three:
    each.leave()
  assert [each.wait_for_failure(0.3) for each in three] == [None] * 3


def test_silence_is_a_loss(monkeypatch):
  monkeypatch.setattr(member_module, "HEARTBEAT_SECONDS", 60.0)
  everybody = members(2)
  chief, worker = (
    Member(each, meeting, 2.0) for each, meeting in zip(everybody, meet_all(everybody))
  )
  assert "no sign of life for 2 s" in chief.wait_for_failure(20)
  assert worker.wait_for_failure(20) is not None
  for each in (chief, worker):
    each.leave()

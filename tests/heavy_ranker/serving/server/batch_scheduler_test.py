"""Joined requests: the same answers, bounded queues, deadlines."""

import threading
import time
from concurrent import futures

import numpy as np
import pytest

from heavy_ranker.serving.server.batch_scheduler import BatchScheduler
from heavy_ranker.serving.server.batching_parameters import BatchingParameters
from heavy_ranker.serving.server.request_errors import Code, RequestError

_LONG = 10**9  # Microseconds: batches run when they are full.


class _Model:
  """Doubles its input; waits where a test wants it to; remembers the sizes of its runs."""

  def __init__(self):
    self.sizes = []
    self.started = threading.Event()
    self.may_go_on = threading.Event()
    self.may_go_on.set()

  def __call__(self, inputs):
    self.sizes.append(len(inputs["x"]))
    self.started.set()
    assert self.may_go_on.wait(30)
    if (inputs["x"] == 666).any():
      raise RequestError(Code.INVALID_ARGUMENT, "666 cannot be used")
    return {"y": inputs["x"] * 2}


@pytest.fixture
def model():
  return _Model()


@pytest.fixture
def make_scheduler():
  made = []

  def make(**parameters):
    made.append(BatchScheduler(BatchingParameters(**{"num_batch_threads": 1, **parameters})))
    return made[-1]

  yield make
  for scheduler in made:
    scheduler.stop()


def _x(*values):
  return {"x": np.array(values, np.float32)}


def _submit_all(scheduler, model, requests, deadline=None):
  with futures.ThreadPoolExecutor(len(requests)) as pool:
    submitted = [
      pool.submit(scheduler.submit, "queue", model, inputs, len(inputs["x"]), deadline)
      for inputs in requests
    ]
  return [each.exception() or each.result()[0]["y"].tolist() for each in submitted]


def test_a_full_batch_runs_at_once_and_each_gets_its_part(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=6, batch_timeout_micros=_LONG)
  answers = _submit_all(scheduler, model, [_x(1), _x(2, 3), _x(4, 5, 6)])
  assert answers == [[2], [4, 6], [8, 10, 12]]
  assert model.sizes == [6]


def test_a_batch_that_is_not_full_runs_when_its_time_has_come(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=6, batch_timeout_micros=1000)
  assert _submit_all(scheduler, model, [_x(1, 2)]) == [[2, 4]]


def test_a_larger_request_runs_alone(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=2, batch_timeout_micros=_LONG)
  assert _submit_all(scheduler, model, [_x(1, 2, 3)]) == [[2, 4, 6]]


def test_batches_are_filled_up_to_an_allowed_size(make_scheduler, model):
  scheduler = make_scheduler(
    max_batch_size=8, batch_timeout_micros=1000, allowed_batch_sizes=(4, 8)
  )
  assert _submit_all(scheduler, model, [_x(1, 2, 3)]) == [[2, 4, 6]]
  assert model.sizes == [4]


def test_one_bad_request_does_not_spoil_the_others(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=3, batch_timeout_micros=_LONG)
  answers = _submit_all(scheduler, model, [_x(1), _x(666), _x(3)])
  assert answers[0] == [2] and answers[2] == [6]
  assert answers[1].code is Code.INVALID_ARGUMENT


def test_other_sizes_are_not_joined(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=2, batch_timeout_micros=1000)
  wide = {"x": np.ones((1, 2), np.float32)}
  assert _submit_all(scheduler, model, [_x(1), wide]) == [[2], [[2, 2]]]
  assert model.sizes == [1, 1]


def test_a_full_queue_refuses_and_then_recovers(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=1, max_enqueued_batches=2)
  model.may_go_on.clear()
  with futures.ThreadPoolExecutor(8) as pool:
    running = pool.submit(scheduler.submit, "queue", model, _x(1), 1)
    assert model.started.wait(30)
    others = [pool.submit(scheduler.submit, "queue", model, _x(2), 1) for _ in range(5)]
    refused = [each.exception() for each in _first(others, 3)]
    model.may_go_on.set()
    assert running.result()[0]["y"].tolist() == [2]
  assert {error.code for error in refused} == {Code.RESOURCE_EXHAUSTED}
  assert sum(each.exception() is None for each in others) == 2
  assert _submit_all(scheduler, model, [_x(4)]) == [[8]]


def _first(submitted, count):
  """Returns the first `count` that are done, the others being stuck."""
  done = []
  for each in futures.as_completed(submitted, timeout=30):
    done.append(each)
    if len(done) == count:
      return done
  raise AssertionError


def test_a_request_whose_time_is_up_is_told_so_and_not_computed(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=1)
  model.may_go_on.clear()
  with futures.ThreadPoolExecutor(2) as pool:
    running = pool.submit(scheduler.submit, "queue", model, _x(1), 1)
    assert model.started.wait(30)
    with pytest.raises(RequestError) as found:
      scheduler.submit("queue", model, _x(2), 1, time.monotonic() + 0.05)
    model.may_go_on.set()
    running.result()
  assert found.value.code is Code.DEADLINE_EXCEEDED
  scheduler.stop()
  assert model.sizes == [1]


def test_queues_do_not_wait_for_one_another(make_scheduler, model):
  scheduler = make_scheduler(num_batch_threads=2)
  blocked = _Model()
  blocked.may_go_on.clear()
  with futures.ThreadPoolExecutor(1) as pool:
    slow = pool.submit(scheduler.submit, "slow", blocked, _x(1), 1)
    assert blocked.started.wait(30)
    assert scheduler.submit("fast", model, _x(2), 1)[0]["y"].tolist() == [4]
    blocked.may_go_on.set()
    slow.result()


def test_stopping_finishes_what_waits_and_refuses_more(make_scheduler, model):
  scheduler = make_scheduler(max_batch_size=10, batch_timeout_micros=_LONG)
  with futures.ThreadPoolExecutor(1) as pool:
    waiting = pool.submit(scheduler.submit, "queue", model, _x(1), 1)
    while not scheduler._queues:
      time.sleep(0.001)
    scheduler.stop()
    assert waiting.result()[0]["y"].tolist() == [2]
  with pytest.raises(RequestError, match="stopping"):
    scheduler.submit("queue", model, _x(1), 1)


def test_outputs_that_are_no_rows_of_examples_are_an_error(make_scheduler):
  scheduler = make_scheduler(max_batch_size=2, batch_timeout_micros=_LONG)
  (answer,) = _submit_all(scheduler, lambda inputs: {"y": np.ones(1)}, [_x(1, 2)])
  assert "1 rows for 2 examples" in str(answer)

"""Few run, some wait, the rest is refused."""

import time
from concurrent import futures

import pytest

from heavy_ranker.serving.server.admission import Admission
from heavy_ranker.serving.server.request_errors import Code, RequestError


def test_waits_for_its_turn():
  admission = Admission(1, 1)
  with futures.ThreadPoolExecutor(1) as pool:
    with admission.enter(None):
      waiting = pool.submit(_pass_through, admission)
      while not admission._waiting:
        time.sleep(0.001)
      assert not waiting.done()
    assert waiting.result(30) > 0


def _pass_through(admission):
  with admission.enter(None) as seconds:
    return seconds


def test_refuses_when_too_many_wait_and_recovers():
  admission = Admission(1, 0)
  with admission.enter(None), pytest.raises(RequestError) as found, admission.enter(None):
    pass
  assert found.value.code is Code.RESOURCE_EXHAUSTED
  assert _pass_through(admission) < 30


@pytest.mark.parametrize("seconds", [-1, 0.02])
def test_a_deadline_ends_the_wait(seconds):
  admission = Admission(1, 1)
  deadline = time.monotonic() + seconds
  with admission.enter(None), pytest.raises(RequestError) as found, admission.enter(deadline):
    pass
  assert found.value.code is Code.DEADLINE_EXCEEDED
  assert _pass_through(admission) < 30


def test_a_deadline_of_centuries_is_none():
  with Admission(1, 1).enter(time.monotonic() + 1e12):
    pass


def test_an_error_frees_the_turn():
  admission = Admission(1, 0)
  with pytest.raises(ZeroDivisionError), admission.enter(None):
    1 / 0  # noqa: B018
  assert _pass_through(admission) < 30

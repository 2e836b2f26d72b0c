"""Tests of `heavy_ranker.preemption`."""

import os
import signal
import sys
import threading
import time
import weakref

import pytest

from heavy_ranker import preemption
from tfrecords.errors import Preempted


def terminate():
  os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_raises_and_ends_with_the_documented_code():
  with pytest.raises(Preempted, match="The same command goes on") as caught, preemption.handled():
    terminate()
  assert caught.value.code == 10
  assert isinstance(caught.value, SystemExit)
  assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
  assert not preemption.requested()


class Referred:
  """An object that weak references may refer to."""


class Dying:
  """An object in whose destructor the signal comes."""

  def __del__(self):
    terminate()


def test_a_signal_in_a_destructor_is_not_lost():
  with pytest.raises(Preempted), preemption.handled():
    dying = Dying()
    del dying
    time.sleep(30)
    pytest.fail("the signal was lost")


def test_a_signal_in_a_weak_reference_s_callback_is_not_lost():
  with pytest.raises(Preempted), preemption.handled():
    referred = Referred()
    reference = weakref.ref(referred, lambda _: terminate())
    del referred
    time.sleep(30)
    pytest.fail(f"the signal was lost: {reference}")


def test_a_signal_in_the_last_destructor_counts_as_well():
  with pytest.raises(Preempted), preemption.handled():
    dying = Dying()
    del dying


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_errors_of_destructors_go_where_they_went():
  class Failing:
    def __del__(self):
      raise ValueError("in the destructor")

  seen = []
  before, sys.unraisablehook = sys.unraisablehook, seen.append
  try:
    with preemption.handled():
      failing = Failing()
      del failing
  finally:
    sys.unraisablehook = before
  assert [dropped.exc_type for dropped in seen] == [ValueError]


def test_while_held_it_waits_and_a_second_one_changes_nothing():
  reached = []
  with pytest.raises(Preempted), preemption.handled(), preemption.held():
    terminate()
    terminate()
    with preemption.held():
      reached.append(preemption.requested())
    reached.append(preemption.requested())
  assert reached == [True, True]


def test_one_who_cleans_up_is_not_disturbed():
  with pytest.raises(Preempted), preemption.handled():
    try:
      terminate()
    finally:
      terminate()
      is_clean = True
  assert is_clean


def test_an_error_goes_before_a_signal_that_waits():
  with pytest.raises(ValueError, match="the error"), preemption.handled(), preemption.held():
    terminate()
    raise ValueError("the error")
  assert not preemption.requested()


def test_stop_says_what_was_reached():
  with pytest.raises(Preempted, match="step 5"), preemption.handled(), preemption.held():
    terminate()
    preemption.stop("after step 5")


def test_a_program_s_own_handler_stays():
  calls = []
  signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
  try:
    with preemption.handled():
      terminate()
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
  assert calls == [1]


def test_another_thread_leaves_signals_alone():
  seen = []

  def run():
    with preemption.handled():
      seen.append(signal.getsignal(signal.SIGTERM))

  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert seen == [signal.SIG_DFL]


def test_inside_of_one_another_the_outermost_counts():
  with pytest.raises(Preempted), preemption.handled():
    with preemption.handled():
      pass
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    terminate()

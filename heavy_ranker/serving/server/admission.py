"""How many requests the model works on, how many wait, and when to say no."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Optional

from heavy_ranker.serving.server.request_errors import Code, RequestError


class Admission:
  """Lets a few requests in at a time, and a bounded number wait.

  Args:
    max_running: how many are in at the same time.
    max_waiting: how many wait at most.
  """

  def __init__(self, max_running: int, max_waiting: int):
    self._max_running = max_running
    self._max_waiting = max_waiting
    self._condition = threading.Condition()
    self._running = 0
    self._waiting = 0

  @contextlib.contextmanager
  def enter(self, deadline: Optional[float]) -> Iterator[float]:
    """Waits for its turn, and yields the seconds that took.

    Args:
      deadline: as time.monotonic() counts; None for any time.

    Raises:
      RequestError: RESOURCE_EXHAUSTED if too many wait already, DEADLINE_EXCEEDED.
    """
    seconds = self._wait(deadline)
    try:
      yield seconds
    finally:
      with self._condition:
        self._running -= 1
        self._condition.notify()

  def _wait(self, deadline: Optional[float]) -> float:
    start = time.monotonic()
    with self._condition:
      if self._running >= self._max_running and self._waiting >= self._max_waiting:
        raise RequestError(
          Code.RESOURCE_EXHAUSTED,
          f"{self._waiting} requests are waiting for the model already, allowed: "
          f"{self._max_waiting}; try again later",
        )
      self._waiting += 1
      try:
        while self._running >= self._max_running:
          if not self._condition.wait(seconds_left(deadline)):
            self._condition.notify()  # A turn that was meant for this one is another's.
            raise deadline_exceeded("while the request waited for the model")
        seconds_left(deadline)
        self._running += 1
      finally:
        self._waiting -= 1
    return time.monotonic() - start


def seconds_left(deadline: Optional[float]) -> Optional[float]:
  """Returns the seconds until a deadline; None if there is none.

  Raises:
    RequestError: DEADLINE_EXCEEDED: it has passed.
  """
  if deadline is None:
    return None
  left = deadline - time.monotonic()
  if left <= 0:
    raise deadline_exceeded("before the model could start on the request")
  # What a clock of a thread's wait can hold: clients mean by years that there is none.
  return min(left, threading.TIMEOUT_MAX)


def deadline_exceeded(when: str) -> RequestError:
  """Returns the error of a request whose time is up."""
  return RequestError(Code.DEADLINE_EXCEEDED, f"the deadline has passed {when}")

"""Ends a process that cannot end itself: TensorFlow may wait for a lost worker for ever."""

import os
import sys
import threading

from heavy_ranker.training.cluster.member import Member
from tfrecords.errors import ClusterError

_SECONDS_TO_END = 5.0


class Watchdog:
  """Gives the process a few seconds to end after a worker is lost, then ends it.

  Args:
    member: knows when a worker is lost.
    seconds_to_end: how long the process may take to end in its own way, by an exception.
  """

  def __init__(self, member: Member, seconds_to_end: float = _SECONDS_TO_END):
    self._member, self._seconds = member, seconds_to_end
    self._is_over = threading.Event()
    threading.Thread(target=self._watch, daemon=True).start()

  def stop(self) -> None:
    """Lets go: the process ends, or goes on, in its own way."""
    self._is_over.set()

  def _watch(self) -> None:
    failure = self._member.wait_for_failure()
    if failure is None or self._is_over.wait(self._seconds):
      return
    sys.stdout.flush()
    print(f"error: {failure}", file=sys.stderr, flush=True)
    # Not sys.exit: the main thread is inside TensorFlow and would not hear of it.
    os._exit(ClusterError.exit_code)

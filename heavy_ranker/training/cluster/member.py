"""A worker's side of what the workers tell each other while they train."""

import itertools
import threading
from typing import Any, Callable, Optional

from heavy_ranker.training.cluster.hub import HEARTBEAT_SECONDS, Hub, described
from heavy_ranker.training.cluster.messages import Connection, MalformedMessageError, Message
from heavy_ranker.training.cluster.rendezvous import Meeting
from heavy_ranker.training.cluster.tf_config import Membership
from tfrecords.errors import ClusterError


class Member:
  """Talks to the other workers, by way of the chief.

  Threads of its own answer and show signs of life while TensorFlow computes. Every method raises
  ClusterError once another worker is lost.

  Args:
    membership: who this process is.
    meeting: from `heavy_ranker.training.cluster.rendezvous.meet`.
    lost_after_seconds: a worker that is silent for so long is lost.
  """

  def __init__(self, membership: Membership, meeting: Meeting, lost_after_seconds: float):
    self._membership, self._lost_after = membership, lost_after_seconds
    self._changed = threading.Condition()
    self._failure: Optional[str] = None
    self._proceeds: dict[str, list[Any]] = {}
    self._is_frozen, self._started, self._stop_after = False, 0, None
    self._is_over, self._stop_requested = threading.Event(), False
    self._meetings = itertools.count()
    self._hub: Optional[Hub] = None
    self._chief: Optional[Connection] = None
    if membership.is_chief:
      self._hub = Hub(meeting.connections, self._hear, lost_after_seconds)
    else:
      self._chief = meeting.connections[0]
      threading.Thread(target=self._listen, daemon=True).start()
    threading.Thread(target=self._beat, daemon=True).start()

  @property
  def failure(self) -> Optional[str]:
    """Which worker is lost and why, or None."""
    with self._changed:
      return self._failure

  @property
  def is_stop_requested(self) -> bool:
    """Whether any worker has requested a stop."""
    with self._changed:
      return self._is_frozen

  def gather(
    self, what: str, value: Any = None, while_waiting: Callable[[], None] = lambda: None
  ) -> list[Any]:
    """Waits until all workers have come to the same place; returns what each has brought.

    Args:
      what: the place, the same for all.
      value: plain data.
      while_waiting: called from time to time.

    Returns:
      All workers' values, the chief's first.
    """
    name = f"{next(self._meetings)} {what}"
    self._say({"kind": "arrive", "name": name, "value": value})
    while True:
      with self._changed:
        if self._changed.wait_for(
          lambda: self._failure is not None or name in self._proceeds, HEARTBEAT_SECONDS
        ):
          if name not in self._proceeds:
            self._check()
          return self._proceeds.pop(name)
      # Without the lock, which those need who tell this worker something meanwhile.
      while_waiting()

  def request_stop(self) -> None:
    """Has all workers stop after a step they agree on; see `may_begin`."""
    if not self._stop_requested:
      self._stop_requested = True
      self._say({"kind": "stop"})

  def may_begin(self, step: int) -> bool:
    """Asks whether to make a step, and says that it has begun.

    Once a stop is requested, workers wait here for an agreement: the last step that any of them
    has begun, since that one cannot be ended without the others.
    """
    with self._changed:
      self._changed.wait_for(
        lambda: self._failure is not None or not self._is_frozen or self._stop_after is not None
      )
      self._check()
      if self._stop_after is not None and step > self._stop_after:
        return False
      self._started = step
      return True

  def wait_for_failure(self, seconds: Optional[float] = None) -> Optional[str]:
    """Waits for the loss of a worker to be known; None if there is none in time."""
    with self._changed:
      self._changed.wait_for(lambda: self._failure is not None, seconds)
      return self._failure

  def leave(self, failure: Optional[str] = None) -> None:
    """Ends the connection.

    Args:
      failure: why this worker ends too early; the others then end, too.
    """
    if self.failure is None:
      self._say({"kind": "bye"} if failure is None else {"kind": "failed", "reason": failure})
    self._is_over.set()
    (self._hub or self._chief).close()

  def _check(self) -> None:
    if self._failure is not None:
      raise ClusterError(self._failure)

  def _say(self, message: Message) -> None:
    if self._hub is not None:
      self._hub.hear(0, message)
      return
    try:
      self._chief.send(message)
    except OSError as error:
      self._fail(0, described(error))

  def _hear(self, message: Message) -> None:
    kind = message["kind"]
    if kind == "freeze":
      with self._changed:
        self._is_frozen, started = True, self._started
      self._say({"kind": "started", "step": started})
    elif kind == "bye":
      self._is_over.set()
    elif kind == "lost":
      self._fail(message["worker"], message["reason"])
    else:
      with self._changed:
        if kind == "proceed":
          self._proceeds[message["name"]] = message["values"]
        elif kind == "stop_after":
          self._stop_after = message["step"]
        self._changed.notify_all()

  def _fail(self, place: int, reason: str) -> None:
    if self._is_over.is_set() or place == self._membership.index:
      return
    with self._changed:
      if self._failure is None:
        self._failure = (
          f"{self._membership.describe(place)} is lost: {reason}. Mend what ended it (its own "
          "output says more), and start all workers again: they resume from the last checkpoint"
        )
      self._changed.notify_all()

  def _listen(self) -> None:
    try:
      while not self._is_over.is_set():
        self._hear(self._chief.receive(self._lost_after))
    except (OSError, EOFError, MalformedMessageError, LookupError) as error:
      self._fail(0, described(error, self._lost_after))

  def _beat(self) -> None:
    while not self._is_over.wait(HEARTBEAT_SECONDS):
      if self._hub is not None:
        self._hub.beat()
      else:
        self._say({"kind": "beat"})

"""The chief's side of what the workers tell each other while they train.

Beside the tensors, which TensorFlow's collectives carry, workers have to know that all others are
alive, to wait for each other, and to agree on the step after which they stop.
"""

import socket
import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional

from heavy_ranker.training.cluster.messages import Connection, MalformedMessageError, Message

HEARTBEAT_SECONDS = 1.0


class Hub:
  """Collects what the workers say and tells all of them what follows from it.

  Args:
    connections: to each worker but the chief, by its place.
    tell_chief: takes what the chief itself is told.
    lost_after_seconds: a worker that is silent for so long is lost.
  """

  def __init__(
    self,
    connections: Mapping[int, Connection],
    tell_chief: Callable[[Message], None],
    lost_after_seconds: float,
  ):
    self._connections, self._tell_chief = dict(connections), tell_chief
    self._count, self._lost_after = len(connections) + 1, lost_after_seconds
    self._lock = threading.RLock()
    self._arrived: dict[str, dict[int, Any]] = {}
    self._started: dict[int, int] = {}
    self._is_stopping, self._loss = False, None
    self._left: set[int] = set()
    for place in self._connections:
      threading.Thread(target=self._listen, args=(place,), daemon=True).start()

  def hear(self, place: int, message: Message) -> None:
    """Acts on a message of a worker; the chief's own come here, too."""
    kind = message["kind"]
    with self._lock:
      if kind == "arrive":
        self._arrive(place, message["name"], message.get("value"))
      elif kind == "stop" and not self._is_stopping:
        self._is_stopping = True
        self._tell_all({"kind": "freeze", "by": place})
      elif kind == "started":
        self._started[place] = message["step"]
        if len(self._started) == self._count:
          # Who has begun a step needs all others to end it.
          self._tell_all({"kind": "stop_after", "step": max(self._started.values())})
      elif kind == "failed":
        self.lose(place, f"it ended with: {message.get('reason')}")
      elif kind == "bye":
        self._left.add(place)

  def lose(self, place: int, reason: str) -> None:
    """Tells all others that a worker is gone; only the first time, since the rest follows."""
    with self._lock:
      if self._loss is None and place not in self._left:
        self._loss = {"kind": "lost", "worker": place, "reason": reason}
        self._tell_all(self._loss)

  def beat(self) -> None:
    """Shows the workers that the chief is alive."""
    self._tell_workers({"kind": "beat"})

  def close(self) -> None:
    """Ends all connections."""
    self._tell_workers({"kind": "bye"})
    for connection in self._connections.values():
      connection.close()

  def _arrive(self, place: int, name: str, value: Any) -> None:
    values = self._arrived.setdefault(name, {})
    values[place] = value
    if len(values) == self._count:
      del self._arrived[name]
      ordered = [values[each] for each in range(self._count)]
      self._tell_all({"kind": "proceed", "name": name, "values": ordered})

  def _tell_all(self, message: Message) -> None:
    self._tell_workers(message)
    self._tell_chief(message)

  def _tell_workers(self, message: Message) -> None:
    for place, connection in self._connections.items():
      if place in self._left:
        continue
      try:
        connection.send(message)
      except OSError as error:
        self.lose(place, described(error))

  def _listen(self, place: int) -> None:
    connection = self._connections[place]
    try:
      while place not in self._left:
        self.hear(place, connection.receive(self._lost_after))
    except (OSError, EOFError, MalformedMessageError, LookupError) as error:
      self.lose(place, described(error, self._lost_after))


def described(error: Exception, seconds: Optional[float] = None) -> str:
  """Returns what an error on a connection means.

  Args:
    error: what sending or receiving ended with.
    seconds: how long nothing came in, if that is the error.
  """
  if isinstance(error, socket.timeout) and seconds is not None:
    return f"no sign of life for {seconds:.0f} s"
  if isinstance(error, (EOFError, ConnectionError)):
    return "its process has ended"
  return str(error)

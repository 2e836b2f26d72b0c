"""Messages between workers: one JSON object a line over TCP."""

import json
import socket
import threading
from typing import Any, Optional

# A configuration with all its keys is a few dozen KB.
_MOST_BYTES = 8 << 20
_READ_BYTES = 1 << 16

Message = dict[str, Any]


class MalformedMessageError(ValueError):
  """What came is no message of another worker."""


class Connection:
  """One end of a connection; any thread may send, one may receive.

  Args:
    connected: a TCP socket, which becomes the connection's own.
  """

  def __init__(self, connected: socket.socket):
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    self._socket, self._lock, self._received = connected, threading.Lock(), b""

  def send(self, message: Message) -> None:
    """Sends one message.

    Raises:
      OSError: the connection is gone.
    """
    with self._lock:
      self._socket.sendall(json.dumps(message).encode() + b"\n")

  def receive(self, timeout_seconds: Optional[float] = None) -> Message:
    """Waits for one message.

    Args:
      timeout_seconds: how long nothing may come in; None waits for ever.

    Raises:
      EOFError: the other side has closed the connection.
      OSError: the connection is gone, or nothing came in time (TimeoutError).
      MalformedMessageError: what came is no message.
    """
    self._socket.settimeout(timeout_seconds)
    while b"\n" not in self._received:
      part = self._socket.recv(_READ_BYTES)
      if not part:
        raise EOFError("the connection was closed")
      self._received += part
      if len(self._received) > _MOST_BYTES:
        raise MalformedMessageError("too long")
    line, self._received = self._received.split(b"\n", 1)
    return _parse(line)

  def close(self) -> None:
    """Closes the connection; whoever waits for a message stops waiting."""
    for end in (lambda: self._socket.shutdown(socket.SHUT_RDWR), self._socket.close):
      try:
        end()
      except OSError:
        pass


def _parse(line: bytes) -> Message:
  try:
    message = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise MalformedMessageError(f"{line[:40]!r}: {error}") from None
  if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
    raise MalformedMessageError(f"{line[:40]!r}")
  return message

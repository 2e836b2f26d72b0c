"""Ends a run whose tf.data service has gone: TensorFlow would wait for it for ever."""

import os
import socket
import sys
import threading
import time
from types import TracebackType
from typing import Optional

from tfrecords.config.data import DISPATCHER_PREFIX
from tfrecords.errors import NothingNewError

SECONDS_AWAY = 60.0
_POLL_SECONDS = 2.0
_SECONDS_TO_CONNECT = 5.0


def unreachable(service: str, timeout_seconds: float = _SECONDS_TO_CONNECT) -> Optional[str]:
  """Returns why nothing answers at an address, or None if something does.

  Args:
    service: "grpc://HOST:PORT".
    timeout_seconds: how long to wait for an answer.
  """
  host, port = service.removeprefix(DISPATCHER_PREFIX).rsplit(":", 1)
  try:
    socket.create_connection((host.strip("[]"), int(port)), timeout_seconds).close()
  except (OSError, OverflowError) as error:
    return str(error)
  return None


class DispatcherWatch:
  """A context that a dispatcher has to outlive, or come back to within a minute.

  The main thread is inside TensorFlow then and hears of nothing. So the process is ended, with the
  message and the exit code of a NothingNewError.

  Args:
    service: "grpc://HOST:PORT".
    where: the configuration key, for the messages.
    seconds_away: how long the dispatcher may be away.
  """

  def __init__(self, service: str, where: str, seconds_away: Optional[float] = None):
    self._service, self._where = service, where
    self._seconds = SECONDS_AWAY if seconds_away is None else seconds_away
    self._is_over = threading.Event()

  def __enter__(self) -> "DispatcherWatch":
    threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    self._is_over.set()

  def _watch(self) -> None:
    seen_at = time.monotonic()
    while not self._is_over.wait(min(_POLL_SECONDS, self._seconds)):
      problem = unreachable(self._service)
      away = time.monotonic() - seen_at
      if problem is None:
        if away > 2 * _POLL_SECONDS + _SECONDS_TO_CONNECT:
          print(f"{self._where}: {self._service} answers again", flush=True)
        seen_at = time.monotonic()
      elif away >= self._seconds and not self._is_over.is_set():
        sys.stdout.flush()
        print(
          f"error: {self._where}: nothing answers at {self._service} for {away:.0f} s ({problem}), "
          f"allowed: a dispatcher that is back within {self._seconds:.0f} s. Start it again with "
          "the same --port and --work_dir, then repeat the command",
          file=sys.stderr,
          flush=True,
        )
        # Not sys.exit: the main thread is inside TensorFlow and would not hear of it.
        os._exit(NothingNewError.exit_code)

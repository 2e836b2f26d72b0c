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
from tfrecords.service_requests import ServiceRequests

SECONDS_AWAY = 60.0
SECONDS_WITHOUT_BATCH = 120.0
# A shuffle buffer has to fill before the first batch, and other workers may come instead.
SECONDS_WITHOUT_BATCH_IN_TRAINING = 600.0
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


class ServiceWatch:
  """A context in which a service has to go on making batches.

  Its dispatcher may be away for a minute. A batch that is asked for may take two minutes, ten in
  training: an evaluation waits for each worker that has begun a file, training for any one.

  The main thread is inside TensorFlow then and hears of nothing. So the process is ended, with the
  message and the exit code of a NothingNewError.

  Args:
    service: "grpc://HOST:PORT".
    where: the configuration key, for the messages.
    requests: what is asked for.
    is_training: whether records may come more than once.
  """

  def __init__(self, service: str, where: str, requests: ServiceRequests, is_training: bool):
    self._service, self._where, self._requests = service, where, requests
    self._is_training = is_training
    self._most_away = SECONDS_AWAY
    self._most_waited = SECONDS_WITHOUT_BATCH_IN_TRAINING if is_training else SECONDS_WITHOUT_BATCH
    self._poll = min(_POLL_SECONDS, self._most_away, self._most_waited)
    self._is_over = threading.Event()

  def __enter__(self) -> "ServiceWatch":
    self._requests.forget()
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
    # Time is added up look by look: while this process is stopped, nobody is late.
    away = waited = 0.0
    oldest, looked_at = None, time.monotonic()
    while not self._is_over.wait(self._poll):
      problem, request = unreachable(self._service), self._requests.oldest()
      passed = min(time.monotonic() - looked_at, self._poll + _SECONDS_TO_CONNECT)
      looked_at = time.monotonic()
      if problem is None and away > self._poll + _SECONDS_TO_CONNECT:
        print(f"{self._where}: {self._service} answers again", flush=True)
      away = 0.0 if problem is None else away + passed
      waited = waited + passed if request is not None and request == oldest else 0.0
      oldest = request
      if away >= self._most_away:
        self._end(self._is_away(away, problem))
      elif waited >= self._most_waited and problem is None:
        self._end(self._sends_nothing(waited))

  def _is_away(self, seconds: float, problem: Optional[str]) -> str:
    return (
      f"nothing answers at {self._service} for {seconds:.0f} s ({problem}), allowed: a dispatcher "
      f"that is back within {self._most_away:.0f} s. Start it again with the same --port and "
      "--work_dir, then repeat the command"
    )

  def _sends_nothing(self, seconds: float) -> str:
    lost = (
      "all its workers are lost or too slow"
      if self._is_training
      else "a worker is lost, or too slow, that had begun a file and so is waited for"
    )
    return (
      f"the service at {self._service} has sent no batch for {seconds:.0f} s: its dispatcher "
      f"answers, {lost}; allowed: a batch within {self._most_waited:.0f} s. Start the "
      "//tfrecords:data_service --role=worker that has ended again, with the same --port and "
      "--worker_address; or, to go on without it, the dispatcher with an empty --work_dir, which "
      "knows nothing of it. Then repeat the command. Or read in this process with --set "
      f"{self._where}=null"
    )

  def _end(self, message: str) -> None:
    if self._is_over.is_set():
      return
    sys.stdout.flush()
    print(f"error: {self._where}: {message}", file=sys.stderr, flush=True)
    # Not sys.exit: the main thread is inside TensorFlow and would not hear of it.
    os._exit(NothingNewError.exit_code)

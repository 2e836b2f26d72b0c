"""The processes of a tf.data service: a dispatcher, and workers that read, parse and batch.

See https://www.tensorflow.org/api_docs/python/tf/data/experimental/service.
"""

import contextlib
import errno
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Callable, Optional, TypeVar

import tensorflow as tf

from tfrecords import folders
from tfrecords.config.data import DISPATCHER_PREFIX
from tfrecords.errors import ConfigError, NothingNewError, reason
from tfrecords.service_watch import unreachable

DEFAULT_PORT = 5050
_SECONDS_TO_FIND_DISPATCHER = 50.0
_RETRY_SECONDS = 0.5
_Server = TypeVar("_Server")
_SERVICE = tf.data.experimental.service


@contextlib.contextmanager
def dispatcher(
  port: int = DEFAULT_PORT, work_dir: Optional[str] = None, fault_tolerant: bool = False
) -> Iterator[str]:
  """A context in which a dispatcher runs.

  Args:
    port: where it listens; 0 for any that is free.
    work_dir: the folder of its journal.
    fault_tolerant: keeps a journal; a dispatcher that starts with the same journal and port
      carries on where the one before was.

  Yields:
    Its address on this machine, "grpc://localhost:PORT".

  Raises:
    ConfigError: the port is in use, or the options contradict each other.
    StorageError: the folder cannot be written.
  """
  if fault_tolerant and work_dir is None:
    raise ConfigError(
      "--fault_tolerant_mode: found true without --work_dir, allowed: a folder for the journal"
    )
  if fault_tolerant and port == 0:
    raise ConfigError("--port: found 0, allowed with a journal: one to come back to")
  _require_free(port)
  folder = folders.make_writable(work_dir, "--work_dir") if work_dir is not None else None
  config = _SERVICE.DispatcherConfig(
    port=port, protocol="grpc", work_dir=folder, fault_tolerant_mode=fault_tolerant
  )
  server = _start(lambda: _SERVICE.DispatchServer(config), port)
  yield server.target


@contextlib.contextmanager
def worker(service: str, port: int = 0, address: Optional[str] = None) -> Iterator[None]:
  """A context in which a worker runs.

  Args:
    service: the dispatcher, "HOST:PORT" or "grpc://HOST:PORT".
    port: where it listens; 0 for any that is free.
    address: "HOST:PORT" at which clients reach it, "%port%" for the port; this machine's own name
      for itself, which nobody else can use, when None.

  Raises:
    ConfigError: the port is in use, or the address of the dispatcher is none.
    NothingNewError: no dispatcher answers within 50 seconds.
  """
  service = f"{DISPATCHER_PREFIX}{service.removeprefix(DISPATCHER_PREFIX)}"
  host, _, number = service.removeprefix(DISPATCHER_PREFIX).rpartition(":")
  if not host or not number.isdecimal() or not 0 < int(number) < 65536:
    raise ConfigError(f"--dispatcher: found {service!r}, allowed: HOST:PORT")
  _require_free(port)
  _wait_for(service)
  config = _SERVICE.WorkerConfig(
    dispatcher_address=service.removeprefix(DISPATCHER_PREFIX),
    port=port,
    worker_address=address or "localhost:%port%",
  )
  # It ends with its last reference.
  server = _start(lambda: _SERVICE.WorkerServer(config), port)
  yield
  del server


def wait_for_end() -> None:
  """Returns after SIGTERM or Ctrl-C."""
  ended = threading.Event()
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())
  ended.wait()


def _start(make: Callable[[], _Server], port: int) -> _Server:
  try:
    return make()
  except (tf.errors.OpError, RuntimeError) as error:
    raise ConfigError(f"--port: {port}: the server cannot start: {reason(error)}") from None


def _require_free(port: int) -> None:
  with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(("", port))
    except OSError as error:
      what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
      raise ConfigError(
        f"--port: {port} {what}, allowed: a port that is free. End what uses it, or give another"
      ) from None


def _wait_for(service: str) -> None:
  """Returns when a dispatcher answers; TensorFlow would wait for it for ever."""
  deadline = time.monotonic() + _SECONDS_TO_FIND_DISPATCHER
  while True:
    problem = unreachable(service)
    if problem is None:
      return
    if time.monotonic() >= deadline:
      raise NothingNewError(
        f"--dispatcher: nothing answers at {service} within {_SECONDS_TO_FIND_DISPATCHER:.0f} s "
        f"({problem}), allowed: a running dispatcher. Start it with --role=dispatcher"
      )
    time.sleep(_RETRY_SECONDS)

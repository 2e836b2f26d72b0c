"""Waitress, held so that it starts and stops with the rest of the server."""

import json
import select
import socket
import threading
import time
from typing import Any, Optional

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from tfrecords.errors import StorageError, reason

_RECEIVED_AT_ONCE = 2**18
# Each may hold a body on disk while it arrives.
_MAX_CONNECTIONS = 256
_LOOK_SECONDS = 0.02
# So often nothing may be under way: a request may be on its way over a connection just made.
_QUIET_LOOKS = 3
_THREADS_END_SECONDS = 1.0
# How long the rest of a body that was refused is read and dropped.
_DRAIN_SECONDS = 5.0


class HttpListener:
  """An HTTP server for one application.

  Args:
    application: WSGI.
    host: the address to listen on.
    port: 0 for a free one.
    threads: how many requests are worked on at the same time.
    max_body_bytes: larger bodies are answered 413 before they are read.

  Raises:
    StorageError: the address cannot be had.
  """

  def __init__(self, application: Any, host: str, port: int, threads: int, max_body_bytes: int):
    listening = _listen(host, port)
    self._port = listening.getsockname()[1]
    self._map: dict[int, Any] = {}
    self._stopping = threading.Event()
    self._finished = threading.Event()
    self._thread: Optional[threading.Thread] = None
    self._server = create_server(
      application,
      map=self._map,
      sockets=[listening],
      threads=threads,
      max_request_body_size=max_body_bytes + 1,  # Waitress refuses this size, too.
      recv_bytes=_RECEIVED_AT_ONCE,
      connection_limit=_MAX_CONNECTIONS,
      asyncore_use_poll=True,
      log_socket_errors=False,
      ident="",
    )
    self._server.channel_class = _Channel

  @property
  def port(self) -> int:
    """The port that is listened on."""
    return self._port

  def start(self) -> None:
    """Begins to answer, on threads of its own."""
    self._thread = threading.Thread(target=self._loop, name="rest", daemon=True)
    self._thread.start()

  def stop(self, grace_seconds: float) -> None:
    """Takes no more connections, lets requests that are here be answered, and ends.

    Args:
      grace_seconds: how long to wait for them.
    """
    if self._finished.is_set():
      return
    self._stopping.set()
    if self._thread is None:
      self._finished.set()
      self._close()
      return
    self._server.pull_trigger()
    end, quiet = time.monotonic() + grace_seconds, 0
    while quiet < _QUIET_LOOKS and time.monotonic() < end:
      time.sleep(_LOOK_SECONDS)
      quiet = 0 if self._is_busy() else quiet + 1
    self._finished.set()
    self._server.pull_trigger()
    self._thread.join()

  def _is_busy(self) -> bool:
    channels = list(self._server.active_channels.values())
    return self._server.accepting or any(
      channel.request or channel.requests or channel.total_outbufs_len for channel in channels
    )

  def _loop(self) -> None:
    while not self._finished.is_set():
      wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)
      if self._stopping.is_set() and self._server.accepting:
        self._stop_listening()
    self._close()

  def _stop_listening(self) -> None:
    """Closes the port, after the connections that had come to it are taken."""
    waiting = select.poll()
    waiting.register(self._server.socket, select.POLLIN)
    for _ in range(_MAX_CONNECTIONS):
      if not waiting.poll(0):
        break
      self._server.handle_accept()
    wasyncore.dispatcher.close(self._server)

  def _close(self) -> None:
    self._server.task_dispatcher.shutdown(timeout=_THREADS_END_SECONDS)
    wasyncore.close_all(self._map, ignore_all=True)


class _JsonErrorTask(ErrorTask):
  """What Waitress itself refuses, as JSON like all other errors."""

  def execute(self) -> None:
    error = self.request.error
    content = json.dumps({"error": f"{error.reason}: {error.body}"}).encode()
    self.status = f"{error.code} {error.reason}"
    self.response_headers.append(("Content-Type", "application/json"))
    self.set_close_on_finish()
    self.content_length = len(content)
    self.channel.drains = True
    self.write(content)


class _Task(WSGITask):
  """An answer that, while the server stops, tells the client that the connection ends with it."""

  def build_response_header(self) -> bytes:
    if not self.channel.server.accepting:
      self.set_close_on_finish()
    return super().build_response_header()


class _Channel(HTTPChannel):
  """A connection. When it refuses a body it drops the rest of it before it closes.

  To close while bytes are on their way resets the connection, and the sender would see that
  instead of the answer.
  """

  task_class = _Task
  error_task_class = _JsonErrorTask
  drains = False
  _drain_end: Optional[float] = None

  def readable(self) -> bool:
    return self._drain_end is not None or super().readable()

  def writable(self) -> bool:
    if self._drain_end is not None:
      return time.monotonic() > self._drain_end
    return super().writable()

  def handle_close(self) -> None:
    if self.drains and self._drain_end is None and self.connected:
      try:
        self.socket.shutdown(socket.SHUT_WR)
      except OSError:
        pass  # The other side is gone, and nothing will come.
      else:
        self._drain_end = time.monotonic() + _DRAIN_SECONDS
        return
    super().handle_close()


def _listen(host: str, port: int) -> socket.socket:
  try:
    family, kind, protocol, _, address = socket.getaddrinfo(
      host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
      listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      listening.bind(address)
    except OSError:
      listening.close()
      raise
  except OSError as error:
    raise StorageError(
      f"--rest_api_port: found {host}:{port}, which cannot be listened on ({reason(error)}); "
      "allowed: an address of this machine and a port that is free, or 0 for no REST"
    ) from None
  return listening

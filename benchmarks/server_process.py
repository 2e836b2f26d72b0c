"""A server in a process of its own, on this machine alone, for as long as it is measured."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Optional

from heavy_ranker.serving.client import Client
from heavy_ranker.serving.serving_error import ServingError
from tfrecords import paths
from tfrecords.errors import ConfigError

HOST = "127.0.0.1"
_POLL_SECONDS = 0.2
_STOP_SECONDS = 30
_LOG_SHOWN = 2000


class ServerProcess:
  """Starts a server, and stops it at the end of the context.

  Args:
    base_path: the folder of the versions.
    log_path: a file for what the server says.
    program: the path of tensorflow_model_server or the like, with arguments; the embedded server,
      which takes the same flags, when None.
    flags: more of them.
    start_seconds: how long it may take until a version is available.

  Attributes:
    grpc_address, rest_address: where it listens, "host:port".
    process_id: the process.
  """

  def __init__(
    self,
    base_path: str,
    log_path: str,
    program: Optional[Sequence[str]] = None,
    flags: Sequence[str] = (),
    start_seconds: float = 120.0,
  ):
    ports = _free_ports(2)
    self.grpc_address, self.rest_address = (f"{HOST}:{port}" for port in ports)
    self._log_path, self._start_seconds = log_path, start_seconds
    self._command = [
      *(program if program is not None else _embedded_server()),
      f"--port={ports[0]}",
      f"--rest_api_port={ports[1]}",
      "--model_name=heavy_ranker",
      f"--model_base_path={base_path}",
      "--file_system_poll_wait_seconds=1",
      *flags,
    ]
    self._process: Optional[subprocess.Popen] = None

  def __enter__(self) -> "ServerProcess":
    environment = {**os.environ, "PYTHONPATH": paths.package_root()}
    with open(self._log_path, "wb") as log:
      try:
        self._process = subprocess.Popen(
          self._command,
          env=environment,
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
        )
      except OSError as error:
        raise ConfigError(f"{self._command[0]}: cannot be started: {error.strerror}") from None
    try:
      self.wait_for_version(None, self._start_seconds)
    except BaseException:
      self._stop()
      raise
    return self

  def __exit__(self, *error: object) -> None:
    self._stop()

  @property
  def process_id(self) -> int:
    """The server's process."""
    return self._process.pid

  def resident_bytes(self) -> int:
    """Returns how much memory the server holds, as Linux counts it."""
    with open(f"/proc/{self.process_id}/status", encoding="ascii") as file:
      (line,) = (line for line in file if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024

  def wait_for_version(self, version: Optional[int], seconds: float) -> None:
    """Waits until a version, or any, is available and no other one is any more.

    Raises:
      ServingError: that takes too long, or the server has ended; with what it said last.
    """
    deadline, problem = time.monotonic() + seconds, f"not available after {seconds:.1f} s"
    with Client(self.grpc_address, timeout_seconds=5) as client:
      while time.monotonic() < deadline:
        if self._process.poll() is not None:
          problem = f"not available, the server has ended with {self._process.returncode}"
          break
        if self._is_served(client, version):
          return
        time.sleep(_POLL_SECONDS)
    with open(self._log_path, errors="replace", encoding="utf-8") as log:
      said = log.read()[-_LOG_SHOWN:]
    raise ServingError("UNAVAILABLE", f"version {version or 'newest'}: {problem}:\n{said}")

  def _is_served(self, client: Client, version: Optional[int]) -> bool:
    try:
      served = [of.version for of in client.status() if of.state in ("AVAILABLE", "UNLOADING")]
    except ServingError:
      return False
    return bool(served) if version is None else served == [version]

  def _stop(self) -> None:
    self._process.terminate()
    try:
      self._process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()


def _embedded_server() -> list[str]:
  # Here, since importing a command defines its flags.
  from heavy_ranker import serve

  return [sys.executable, "-m", serve.__name__]


def _free_ports(count: int) -> list[int]:
  sockets = [socket.socket() for _ in range(count)]
  try:
    for each in sockets:
      each.bind((HOST, 0))
    return [each.getsockname()[1] for each in sockets]
  finally:
    for each in sockets:
      each.close()

"""The embedded server: models, gRPC and REST, from start to stop."""

import threading
from typing import TYPE_CHECKING, Optional

from heavy_ranker.serving.server.grpc_front import GrpcServer, make_grpc_server
from heavy_ranker.serving.server.model_manager import ModelManager
from heavy_ranker.serving.server.settings import ServerSettings
from heavy_ranker.serving.server.telemetry import Telemetry

if TYPE_CHECKING:
  from heavy_ranker.serving.server.rest_front import RestServer


class Server:
  """Serves models over gRPC and REST.

  Attributes:
    manager: has the models.
    telemetry: what is counted.

  Args:
    settings: what to serve and where.

  Raises:
    UserError: the model or batching configuration cannot be used, or a port is not to be had.
  """

  def __init__(self, settings: ServerSettings):
    self.telemetry = Telemetry()
    self.manager = ModelManager(settings, self.telemetry)
    self._settings = settings
    self._grpc: Optional[GrpcServer] = None
    self._rest: Optional[RestServer] = None
    self._stopping = threading.Event()

  @property
  def grpc_port(self) -> int:
    """The port gRPC listens on; 0 for none."""
    return self._grpc.port if self._grpc is not None else 0

  @property
  def rest_port(self) -> int:
    """The port REST listens on; 0 for none."""
    return self._rest.port if self._rest is not None else 0

  def start(self) -> None:
    """Takes the ports, loads and warms the models, then answers requests.

    Raises:
      StorageError: a port is in use, or a model has no version that can be served.
    """
    try:
      self._listen()
      self.manager.start()
    except BaseException:
      self.stop(0)
      raise
    for front in (self._grpc, self._rest):
      if front is not None:
        front.start()

  def wait(self) -> None:
    """Returns when `request_stop` has been called."""
    self._stopping.wait()

  def request_stop(self) -> None:
    """Ends `wait`; may be called from a signal handler."""
    self._stopping.set()

  def stop(self, grace_seconds: float = 30) -> None:
    """Takes no more requests, answers those under way, and frees everything.

    Args:
      grace_seconds: what takes longer is cancelled.
    """
    self._stopping.set()
    stopped = self._grpc.stop(grace_seconds) if self._grpc is not None else None
    if self._rest is not None:
      self._rest.stop(grace_seconds)
    if stopped is not None:
      stopped.wait()
    self.manager.stop()

  def _listen(self) -> None:
    if self._settings.port:
      self._grpc = make_grpc_server(self.manager, self.telemetry, self._settings)
    if self._settings.rest_api_port:
      # Only here: a server of gRPC alone needs nothing of HTTP.
      from heavy_ranker.serving.server.rest_front import make_rest_server

      self._rest = make_rest_server(self.manager, self.telemetry, self._settings)

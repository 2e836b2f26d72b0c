"""What the server is started with."""

import os
from dataclasses import dataclass, field
from typing import Optional

from heavy_ranker.serving.server import text_protos
from tfrecords.errors import ConfigError

DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"
# As a port: any that is free.
ANY_PORT = -1


@dataclass(frozen=True)
class ServerSettings:
  """The flags of the command, with tensorflow_model_server's names and meanings.

  Attributes:
    host: the address to listen on; 127.0.0.1 is reached from this machine alone.
    port: of gRPC; 0 for none, ANY_PORT for a free one.
    rest_api_port: of REST, the metrics and the page; 0 for none, ANY_PORT for a free one.
    rest_api_timeout_in_ms: how long a REST request may take, since HTTP has no deadlines.
    model_name: the model's name, unless there is a model_config_file.
    model_base_path: the folder of its versions; saved_models/heavy_ranker of the checkout if empty.
    model_config_file: a ModelServerConfig as text protobuf: several models, policies, labels.
    model_config_file_poll_wait_seconds: seconds between two looks whether that file has changed; 0
      reads it once, at the start.
    enable_batching: join requests that wait at the same time into one run of the model.
    batching_parameters_file: BatchingParameters as text protobuf.
    monitoring_config_file: MonitoringConfig as text protobuf; without one the metrics are at
      DEFAULT_METRICS_PATH.
    file_system_poll_wait_seconds: seconds between two looks for new versions; 0 looks once, at the
      start, and so does -1.
    enable_model_warmup: run each version before it gets requests.
    max_request_bytes: of a message or body.
    max_examples_a_request: the largest number of candidates in one request.
    max_running_requests: requests the model works on at the same time, without batching.
    max_waiting_requests: requests that wait for it; more are answered RESOURCE_EXHAUSTED.
    metrics_path: where the metrics are served; None for nowhere. From monitoring_config_file.
  """

  host: str = "127.0.0.1"
  port: int = 8500
  rest_api_port: int = 8501
  rest_api_timeout_in_ms: int = 30_000
  model_name: str = "heavy_ranker"
  model_base_path: str = ""
  model_config_file: str = ""
  model_config_file_poll_wait_seconds: float = 0
  enable_batching: bool = False
  batching_parameters_file: str = ""
  monitoring_config_file: str = ""
  file_system_poll_wait_seconds: float = 1.0
  enable_model_warmup: bool = True
  max_request_bytes: int = 128 * 2**20
  max_examples_a_request: int = 10_000
  max_running_requests: int = field(default_factory=lambda: max(2, os.cpu_count() or 1))
  max_waiting_requests: int = 32
  metrics_path: Optional[str] = field(init=False)

  def __post_init__(self):
    for name in ("port", "rest_api_port"):
      _require(name, getattr(self, name), -1, 65535)
    for name in ("max_request_bytes", "max_examples_a_request", "max_running_requests"):
      _require(name, getattr(self, name), 1, 2**31 - 1)
    _require("max_waiting_requests", self.max_waiting_requests, 0, 1000)
    for name in ("file_system_poll_wait_seconds", "model_config_file_poll_wait_seconds"):
      _require(name, getattr(self, name), -1, 10**6)
    if not self.host:
      raise ConfigError("--host: found nothing, allowed: an address; 0.0.0.0 for all there are")
    _require("rest_api_timeout_in_ms", self.rest_api_timeout_in_ms, 1, 2**31 - 1)
    if not self.port and not self.rest_api_port:
      raise ConfigError("--port and --rest_api_port: found 0 twice, allowed: one of them 0")
    if self.port == self.rest_api_port and self.port > 0:
      raise ConfigError(f"--port and --rest_api_port: found {self.port} twice, allowed: two ports")
    if self.batching_parameters_file and not self.enable_batching:
      raise ConfigError(
        "--batching_parameters_file: found without --enable_batching, which it belongs to"
      )
    if self.model_config_file and self.model_base_path:
      raise ConfigError(
        "--model_base_path: found it beside --model_config_file, allowed: one of the two"
      )
    object.__setattr__(self, "metrics_path", _metrics_path(self.monitoring_config_file))


def _require(name: str, value: float, lowest: int, highest: int) -> None:
  if not lowest <= value <= highest:
    raise ConfigError(f"--{name}: found {value}, allowed: {lowest} to {highest}")


def _metrics_path(monitoring_config_file: str) -> Optional[str]:
  if not monitoring_config_file:
    return DEFAULT_METRICS_PATH
  flag = "--monitoring_config_file"
  config = text_protos.read(monitoring_config_file, text_protos.MonitoringConfig(), flag)
  path = config.prometheus_config.path or DEFAULT_METRICS_PATH
  if not path.startswith("/"):
    raise ConfigError(
      f"{monitoring_config_file}: prometheus_config.path: found {path!r}, allowed: a path that "
      f"starts with /, such as {DEFAULT_METRICS_PATH}"
    )
  return path if config.prometheus_config.enable else None

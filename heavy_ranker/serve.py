"""Command: serves exports over gRPC and REST, the way tensorflow_model_server does."""

import os
import signal

from absl import flags, logging

from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
# Names and meanings are tensorflow_model_server's. Defaults are those of ServerSettings.
_PORT = flags.DEFINE_integer("port", None, "Port of gRPC; 0 for none (default: 8500).")
_REST_API_PORT = flags.DEFINE_integer(
  "rest_api_port", None, "Port of REST, metrics and page; 0 for none (default: 8501)."
)
_REST_API_TIMEOUT = flags.DEFINE_integer(
  "rest_api_timeout_in_ms", None, "How long a REST request may take (default: 30000)."
)
_MODEL_NAME = flags.DEFINE_string(
  "model_name", None, "What requests call the model (default: heavy_ranker)."
)
_MODEL_BASE_PATH = flags.DEFINE_string(
  "model_base_path", None, "Folder of its versions (default: saved_models/heavy_ranker)."
)
_MODEL_CONFIG_FILE = flags.DEFINE_string(
  "model_config_file",
  None,
  "Instead of the two: a ModelServerConfig as text protobuf, with several models, version policies "
  "and labels.",
)
_MODEL_CONFIG_FILE_POLL_WAIT_SECONDS = flags.DEFINE_float(
  "model_config_file_poll_wait_seconds",
  None,
  "Seconds between two looks whether that file has changed; 0 reads it once (default: 0).",
)
# Version folders come and go, so that a label may always stand for one that is not there yet.
flags.DEFINE_bool(
  "allow_version_labels_for_unavailable_models", True, "Taken for granted, whatever it says."
)
_ENABLE_BATCHING = flags.DEFINE_bool(
  "enable_batching", None, "Join requests that wait at the same time into one run of the model."
)
_BATCHING_PARAMETERS_FILE = flags.DEFINE_string(
  "batching_parameters_file", None, "With --enable_batching: BatchingParameters as text protobuf."
)
_MONITORING_CONFIG_FILE = flags.DEFINE_string(
  "monitoring_config_file",
  None,
  "MonitoringConfig as text protobuf (default: metrics at /monitoring/prometheus/metrics).",
)
_FILE_SYSTEM_POLL_WAIT_SECONDS = flags.DEFINE_float(
  "file_system_poll_wait_seconds",
  None,
  "Seconds between two looks for new versions; 0 looks at the start only (default: 1).",
)
_ENABLE_MODEL_WARMUP = flags.DEFINE_bool(
  "enable_model_warmup", None, "Run each version before it gets requests (default: true)."
)
# This server's own.
_HOST = flags.DEFINE_string(
  "host", None, "Address to listen on (default: 127.0.0.1, this machine alone)."
)
_MAX_EXAMPLES = flags.DEFINE_integer(
  "max_examples_a_request", None, "Most candidates in a request (default: 10000)."
)
_MAX_REQUEST_BYTES = flags.DEFINE_integer(
  "max_request_bytes", None, "Largest message or body (default: 128 MiB)."
)
_MAX_WAITING_REQUESTS = flags.DEFINE_integer(
  "max_waiting_requests",
  None,
  "Without batching: requests that wait for the model at most; more are refused (default: 32).",
)
_SETTINGS = (
  _PORT,
  _REST_API_PORT,
  _REST_API_TIMEOUT,
  _MODEL_NAME,
  _MODEL_BASE_PATH,
  _MODEL_CONFIG_FILE,
  _MODEL_CONFIG_FILE_POLL_WAIT_SECONDS,
  _ENABLE_BATCHING,
  _BATCHING_PARAMETERS_FILE,
  _MONITORING_CONFIG_FILE,
  _FILE_SYSTEM_POLL_WAIT_SECONDS,
  _ENABLE_MODEL_WARMUP,
  _HOST,
  _MAX_EXAMPLES,
  _MAX_REQUEST_BYTES,
  _MAX_WAITING_REQUESTS,
)


def _main() -> None:
  if not command_line.is_default_config() or command_line.overrides():
    raise ConfigError(
      "--config_path and --set: found a value, allowed: none; an export holds all it needs"
    )
  if not flags.FLAGS["verbosity"].present:
    logging.set_verbosity(logging.INFO)  # Versions come and go: that is worth a line.
  # gRPC's own lines say less than the errors they end in.
  os.environ.setdefault("GRPC_VERBOSITY", "NONE")
  from heavy_ranker.serving.server.freed_memory import use_returning_allocators

  use_returning_allocators()
  from heavy_ranker.serving.server.announcement import announce
  from heavy_ranker.serving.server.server import Server
  from heavy_ranker.serving.server.settings import ServerSettings

  given = {flag.name: flag.value for flag in _SETTINGS if flag.value is not None}
  settings = ServerSettings(**given)
  server = Server(settings)
  _stop_on_signals(server)
  server.start()
  print(announce(server, settings), flush=True)
  server.wait()
  print("stopping", flush=True)
  server.stop()


def _stop_on_signals(server: object) -> None:
  """Stops gracefully at the first SIGTERM or SIGINT; a second one ends the process."""

  def stop(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    server.request_stop()

  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, stop)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Serves exports over gRPC and REST, the way tensorflow_model_server does.

  ./bazelw run //heavy_ranker:serve
  ./bazelw run //heavy_ranker:serve -- --port=9000 --model_base_path=/models/heavy_ranker
  ./bazelw run //heavy_ranker:serve -- --model_config_file=models.config --enable_batching

New versions are loaded and warmed while the old ones answer, and then take over: docs/serving.md.
""",
  )

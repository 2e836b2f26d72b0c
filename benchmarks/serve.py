"""Command: measures the server against the bare model it serves."""

import json
import os
import shutil
import signal
import sys
import tempfile

from absl import flags

from benchmarks.sizes import sizes_of
from heavy_ranker.config import load_config
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_EXPORT_DIR = flags.DEFINE_string(
  "export_dir",
  None,
  "An export to serve, a version's folder or the folder of the versions (default: one is made of "
  "--config_path, untrained).",
)
_MODEL_SERVER = flags.DEFINE_string(
  "model_server",
  None,
  "Path of tensorflow_model_server, to measure it instead of the embedded one.",
)
_SERVER_FLAGS = flags.DEFINE_multi_string(
  "server_flag", [], "A flag for the server, such as --server_flag=--enable_batching; repeatable."
)
_SIZES = flags.DEFINE_list("sizes", ["1", "32", "500", "1500"], "Candidates a request.")
_APIS = flags.DEFINE_multi_enum("api", ["grpc", "rest"], ["grpc", "rest"], "API; repeatable.")
_REQUESTS = flags.DEFINE_integer(
  "requests", 200, "The most requests of one size and API.", lower_bound=1
)
_SECONDS = flags.DEFINE_float(
  "seconds", 20.0, "The most seconds for one size, latency and throughput each.", lower_bound=0.1
)
_CONCURRENCY = flags.DEFINE_integer(
  "concurrency", 2, "Connections at the same time, for the throughput.", 1, 64
)
_SWAPS = flags.DEFINE_integer("swaps", 0, "New versions under load.", lower_bound=0)
_SOAK = flags.DEFINE_integer("soak", 0, "Requests of one candidate, to see memory.", lower_bound=0)
_LONG_SECONDS = flags.DEFINE_float(
  "long_seconds", 600.0, "The most seconds for --swaps and for --soak.", lower_bound=1
)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write the result there, as JSON.")


def _main() -> None:
  # Ends as an error would: the server and the temporary folder must not stay behind.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  config = None
  if _EXPORT_DIR.value is None:
    config = load_config(command_line.config_path(), command_line.overrides())
  elif not command_line.is_default_config() or command_line.overrides():
    raise ConfigError("--config_path, --set: found one, allowed: none beside --export_dir")
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from benchmarks import serving
  from benchmarks.server_process import ServerProcess
  from benchmarks.untrained_export import write_untrained_export
  from heavy_ranker.serving import json_output
  from heavy_ranker.serving.export_folder import find_version

  output = json_output.prepare(_OUTPUT_PATH.value) if _OUTPUT_PATH.value is not None else None
  with tempfile.TemporaryDirectory(prefix="benchmark-serve-") as folder:
    base_path = os.path.join(folder, "versions")
    if config is not None:
      training = config.training.model_copy(update={"save_dir": os.path.join(folder, "run")})
      write_untrained_export(config.model_copy(update={"training": training}), base_path)
      shutil.rmtree(os.path.join(folder, "run"))
    else:
      # Versions come and go here, so that the user's own folder stays as it is.
      shutil.copytree(find_version(_EXPORT_DIR.value), os.path.join(base_path, "1"))
    program = None if _MODEL_SERVER.value is None else [_MODEL_SERVER.value]
    log_path = os.path.join(folder, "server.log")
    with ServerProcess(base_path, log_path, program, _SERVER_FLAGS.value) as server:
      result = serving.ServingBenchmark(server, base_path, _bounds()).run()
  print(json.dumps(result, indent=2))
  if output is not None:
    json_output.write(output, result)
  if not serving.all_answered(result):
    print("error: not all requests were answered, see above", file=sys.stderr)
    sys.exit(1)


def _bounds() -> "serving.Bounds":  # noqa: F821 - imported where it is used.
  from benchmarks import serving

  return serving.Bounds(
    sizes=sizes_of(_SIZES.value),
    apis=tuple(dict.fromkeys(_APIS.value)),
    requests=_REQUESTS.value,
    seconds=_SECONDS.value,
    concurrency=_CONCURRENCY.value,
    swaps=_SWAPS.value,
    soak=_SOAK.value,
    long_seconds=_LONG_SECONDS.value,
  )


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures the server, in a process of its own on this machine, against the bare model.

Prints one JSON object: latencies in milliseconds and their ratios to a call of the same model in
this process, made in turn with the requests; throughput; and with --swaps and --soak the requests
that failed while versions changed, and the server's memory.

  ./bazelw run //benchmarks:serve
  ./bazelw run //benchmarks:serve -- --sizes=500 --api=grpc --swaps=20 --soak=100000
""",
  )

"""Command: trains on one core and writes down how fast; //benchmarks:workers runs it."""

import os

from absl import flags

from benchmarks import json_file
from heavy_ranker.config import load_config
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_CORE = flags.DEFINE_integer("core", None, "The core this process and its threads stay on.")
_RESULT_PATH = flags.DEFINE_string("result_path", None, "Where to write the result, as JSON.")


def _main() -> None:
  if _CORE.value is None or _RESULT_PATH.value is None:
    raise ConfigError("--core, --result_path: found nothing, allowed: a value has to be given")
  # Before TensorFlow is loaded, which makes as many threads as there are cores to use.
  os.sched_setaffinity(0, {_CORE.value})
  config = load_config(command_line.config_path(), command_line.overrides())
  from heavy_ranker.training.trainer import train

  history = train(config)
  speeds = [entry["examples_per_second"] for entry in history]
  json_file.write(_RESULT_PATH.value, {"examples_per_second": speeds})


if __name__ == "__main__":
  command_line.run(
    _main,
    """Trains on one core and writes down how fast; //benchmarks:workers runs it.

  ./bazelw run //benchmarks:pinned_training -- --core=0 --result_path=/tmp/speed.json
""",
  )

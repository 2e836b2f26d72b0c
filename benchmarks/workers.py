"""Command: measures several workers and a data service against one process on one core."""

import json
import os
import signal
import sys
import tempfile
from typing import Any

from absl import flags

from heavy_ranker.config import load_config
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_WORKERS = flags.DEFINE_integer("workers", 2, "Workers, a core each.", lower_bound=2)
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["128", "1024"], "Examples of a worker's batch.")
_MICRO_BATCHES = flags.DEFINE_list("micro_batches", ["1", "8"], "Batches an update, see below.")
_STEPS = flags.DEFINE_integer("steps", 8, "Steps of each run that count.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 2, "How often each is measured.", lower_bound=1)
_SCALING = flags.DEFINE_bool("scaling", True, "Measure several workers.")
_DATA_SERVICE = flags.DEFINE_bool("data_service", True, "Measure a data service, too.")
_EXAMPLES = flags.DEFINE_integer("n_examples", 4096, "Random records to train on.", lower_bound=1)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write the result there, as JSON.")


def _main() -> None:
  # Ends as an error would: no process and no temporary folder must stay behind.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  config = load_config(command_line.config_path(), command_line.overrides())
  sizes = _numbers(_BATCH_SIZES.value, "--batch_sizes")
  micro_batches = _numbers(_MICRO_BATCHES.value, "--micro_batches")
  cores = len(os.sched_getaffinity(0))
  if cores < _WORKERS.value:
    raise ConfigError(f"--workers: found {_WORKERS.value}, allowed: at most {cores}, the cores")
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from benchmarks import json_file
  from benchmarks.worker_runs import Runs
  from tfrecords.generator import generate

  with tempfile.TemporaryDirectory(prefix="benchmark-workers-") as folder:
    inputs = os.path.join(folder, "records-*.gz")
    os.mkdir(os.path.join(folder, "runs"))
    generate(
      config.train_data,
      n_examples=_EXAMPLES.value,
      num_shards=4,
      kind="random",
      seed=0,
      output=inputs,
    )
    overrides = [*command_line.overrides(), f"train_data.inputs={inputs}", "validation_data={}"]
    settings = [f"--config_path={command_line.config_path()}"]
    settings += [f"--set={override}" for override in overrides]
    runs = Runs(os.path.join(folder, "runs"), tuple(settings), _STEPS.value, _ROUNDS.value)
    # A large batch and many micro-batches are two ways to the same end: one of them at a time.
    cases = dict.fromkeys([*((size, 1) for size in sizes), *((sizes[0], m) for m in micro_batches)])
    result: dict[str, Any] = {"cores": cores}
    if _SCALING.value:
      result["scaling"] = [runs.scaling(_WORKERS.value, *case) for case in cases]
    if _DATA_SERVICE.value:
      result["data_service"] = runs.service(sizes[0])
  print(json.dumps(result, indent=2))
  if _OUTPUT_PATH.value is not None:
    json_file.write(_OUTPUT_PATH.value, result)


def _numbers(texts: list[str], flag: str) -> list[int]:
  if not texts or not all(text.isdecimal() and 0 < int(text) < 1 << 20 for text in texts):
    raise ConfigError(f"{flag}: found {','.join(texts)!r}, allowed: numbers from 1, such as 1,8")
  return [int(text) for text in texts]


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures several workers, each on a core of its own, against one worker on one core; and a
data service against reading files.

Prints one JSON object. Weak scaling gives each worker the same batch, strong scaling divides one
batch. The workers exchange all gradients once an update, however many examples are in it: so
efficiency is measured by batch size, and by micro-batches an update (gradient_accumulation).

  ./bazelw run //benchmarks:workers
  ./bazelw run //benchmarks:workers -- --batch_sizes=128 --micro_batches=1,4,16
  ./bazelw run //benchmarks:workers -- --noscaling --steps=20 --rounds=3
""",
  )

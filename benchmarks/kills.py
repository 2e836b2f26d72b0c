"""Command: kills a training run again and again and compares what comes of it to one left alone."""

import json
import os
import random
import time
from collections import Counter

from absl import flags

from heavy_ranker.config import load_config
from tfrecords import command_line, paths
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_KILLS = flags.DEFINE_integer("kills", 10, "How often to kill.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the phases and moments.")
_FOLDER = flags.DEFINE_string(
  "folder",
  "tmp/kills",
  "Where both runs and their exports lie; has to be empty. Give it room for four checkpoints.",
)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write the result there, as JSON.")


def _main() -> None:
  config = load_config(command_line.config_path(), command_line.overrides())
  folder = paths.resolve(_FOLDER.value, "--folder")
  if os.path.isdir(folder) and os.listdir(folder):
    raise ConfigError(f"--folder: found {folder}, which is not empty, allowed: a new or empty one")
  # After the flags are checked: a mistake in them shows before TensorFlow is loaded.
  from benchmarks import json_file
  from benchmarks.killed_run import KilledRun, plan
  from benchmarks.run_comparison import differences
  from heavy_ranker.full_run import make_random_data_if_missing

  if command_line.is_default_config():
    make_random_data_if_missing(config.train_data)
  generator = random.Random(_SEED.value)
  repeated = [f"--config_path={command_line.config_path()}"]
  repeated += [part for pair in command_line.overrides() for part in ("--set", pair)]
  runs, exports = ([os.path.join(folder, kind, name) for name in ("whole", "killed")]
                   for kind in ("runs", "exports"))  # fmt: skip
  whole, killed = (
    KilledRun(repeated, run, export, config.training.num_train_steps, generator)
    for run, export in zip(runs, exports)
  )
  started = time.monotonic()
  whole.finish()
  for phase in plan(_KILLS.value, generator):
    killed.kill_in(phase)
    print(f"killed: {killed.killed[-1]}", flush=True)
  killed.finish()
  found = differences(*runs, exports=tuple(exports))
  result = {
    "seed": _SEED.value,
    "kills": len(killed.killed),
    "kills_by_phase": dict(Counter(killed.killed)),
    "steps": config.training.num_train_steps,
    "differences": found,
    "seconds": round(time.monotonic() - started, 1),
  }
  print(json.dumps(result, indent=2))
  if _OUTPUT_PATH.value is not None:
    json_file.write(paths.resolve(_OUTPUT_PATH.value, "--output_path"), result)
  if found:
    raise SystemExit(1)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Trains, measures and exports twice: once undisturbed, and once killed (SIGKILL) at random
moments of every phase and started again. Prints one JSON object; `differences` is empty when both
runs ended with the same bits, and the exit code is 1 otherwise. The same seed draws the same
phases and moments, as exactly as a machine repeats its pace.

  ./bazelw run //benchmarks:kills -- --kills=12 --set training.checkpoint_every_n=2
""",
  )

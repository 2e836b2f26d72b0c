"""Command: measures the time from the start of a process to its first training step."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from absl import flags

from heavy_ranker.config import load_config
from tfrecords import command_line, paths
from tfrecords.errors import TrainingError

flags.adopt_module_key_flags(command_line)
_ROUNDS = flags.DEFINE_integer(
  "rounds", 3, "How often a process is started, after one that is not counted.", lower_bound=1
)
_RECORDS = flags.DEFINE_integer(
  "records",
  512,
  "Random records to write first, gzip, to a temporary folder; 0 reads train_data as it is.",
  lower_bound=0,
)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write the result there, as JSON.")
_FIRST_STEP = "step 1:"


def _main() -> None:
  config = load_config(command_line.config_path(), command_line.overrides())
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from benchmarks.random_records import with_random_records
  from heavy_ranker.config_check import check_config
  from heavy_ranker.serving import json_output

  check_config(config)
  output = json_output.prepare(_OUTPUT_PATH.value) if _OUTPUT_PATH.value is not None else None
  with tempfile.TemporaryDirectory(prefix="benchmark-startup-") as folder:
    overrides = [*command_line.overrides(), f"training.save_dir={folder}/run"]
    overrides += ["training.train_log_every_n=1", "training.num_train_steps=1"]
    overrides.append("validation_data=null")  # What comes after the first step is not measured.
    if _RECORDS.value:
      data = with_random_records(config, folder, _RECORDS.value).train_data
      changes = {**dict.fromkeys(("explicit_datetime_inputs", "explicit_date_inputs"), "null")}
      overrides += [f"train_data.{key}={value}" for key, value in changes.items()]
      overrides.append(f"train_data.inputs={data.inputs}")
    result = _measure(command_line.config_path(), overrides, folder)
  print(json.dumps(result, indent=2))
  if output is not None:
    json_output.write(output, result)


def _measure(path: str, overrides: Sequence[str], folder: str) -> Mapping[str, object]:
  rounds, commands = [], []
  for _ in range(1 + _ROUNDS.value):  # The first brings the files into memory.
    rounds.append(_parts(path, overrides))
    commands.append(_command_seconds(path, overrides, folder))
  parts = {name: statistics.median(each[name] for each in rounds[1:]) for name in rounds[0]}
  total = sum(seconds for name, seconds in parts.items() if name != "second_step")
  return {
    "train_command_seconds": round(statistics.median(commands[1:]), 2),
    "seconds": round(total, 2),
    "parts": {name: round(seconds, 2) for name, seconds in parts.items()},
  }


def _parts(path: str, overrides: Sequence[str]) -> Mapping[str, float]:
  """Runs `benchmarks.first_step` and returns what it prints."""
  arguments = [f"--started={time.monotonic()!r}", path, *overrides]
  done = subprocess.run(
    [sys.executable, "-m", "benchmarks.first_step", *arguments],
    env=_environment(),
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    raise TrainingError(f"the first step failed: {done.stderr.strip().splitlines()[-1:]}")
  return json.loads(done.stdout.strip().splitlines()[-1])


def _command_seconds(path: str, overrides: Sequence[str], folder: str) -> float:
  """Runs //heavy_ranker:train up to the line of its first step."""
  flags_of_command = [f"--config_path={path}", f"--export_dir={folder}/export", "--fresh"]
  flags_of_command += [f"--set={override}" for override in overrides]
  started = time.monotonic()
  with subprocess.Popen(
    [sys.executable, "-m", "heavy_ranker.train", *flags_of_command],
    env=_environment(),
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
  ) as process:
    try:
      for line in process.stdout:
        if line.startswith(_FIRST_STEP):
          return time.monotonic() - started
    finally:
      process.kill()
  raise TrainingError(f"//heavy_ranker:train ended with {process.returncode} before its first step")


def _environment() -> dict[str, str]:
  return {**os.environ, "PYTHONPATH": paths.package_root()}


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures the time from the start of a process to its first training step, with warm files.

Prints one JSON object: the seconds //heavy_ranker:train takes to tell its first step, and those of
the parts of a process that does no more than that step.

  ./bazelw run //benchmarks:startup
""",
  )

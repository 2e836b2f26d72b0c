"""Command: trains and measures one architecture; `benchmarks.architectures` runs it for each."""

import json
import os
import re
import statistics
from typing import Any, Optional

from benchmarks import json_file
from benchmarks.candidates import PARTITION
from heavy_ranker.config import HeavyRankerConfig, load_config
from tfrecords import command_line

_FILE = "measurement.json"
_SPEED = re.compile(r"\bexamples_per_second=(\S+)")


def configuration(config: HeavyRankerConfig) -> dict[str, Any]:
  """Returns what a measurement depends on, as plain data to compare and to write as JSON."""
  return json.loads(config.model_dump_json(exclude_none=True))


def path_in(save_dir: str) -> str:
  """Returns where a run's measurement lies."""
  return os.path.join(save_dir, _FILE)


def read(save_dir: str) -> dict[str, Any]:
  """Returns what is known of a run: `configuration`, and `result` once it is there."""
  try:
    with open(path_in(save_dir), encoding="utf-8") as file:
      known = json.load(file)
  except (OSError, ValueError):
    return {}
  return known if isinstance(known, dict) else {}


def start_over(save_dir: str) -> None:
  """Moves what a folder holds aside, if anything, says so, and leaves the folder empty."""
  from heavy_ranker.training.earlier_run import set_aside

  earlier = set_aside(save_dir)
  if earlier:
    print(f"the earlier run now lies in {earlier}; delete it when you are done with it", flush=True)
  os.makedirs(save_dir, exist_ok=True)


def measure(config: HeavyRankerConfig) -> dict[str, Any]:
  """Trains an architecture, or resumes, measures it, and writes what was found into its folder.

  What the folder holds of another configuration is moved aside first.

  Args:
    config: the whole configuration.

  Returns:
    `parameters` (trainable), `steps`, `examples_per_second` (median of what was logged after the
    first time; None if training was too short to log twice) and `metrics`: task -> metric -> value.

  Raises:
    UserError: configuration, data or storage cannot be used, or the loss is not finite.
  """
  from heavy_ranker.evaluation.evaluator import evaluate
  from heavy_ranker.model import build_model
  from heavy_ranker.training.run_log import log_path
  from heavy_ranker.training.trainer import train
  from tfrecords.folders import make_writable

  save_dir = make_writable(config.training.save_dir, "training.save_dir")
  known = {"configuration": configuration(config)}
  if read(save_dir).get("configuration") != known["configuration"]:
    start_over(save_dir)
  json_file.write(path_in(save_dir), known)
  train(config)
  weights = build_model(config).trainable_weights
  result = {
    "parameters": sum(int(weight.shape.num_elements()) for weight in weights),
    "steps": config.training.num_train_steps,
    "examples_per_second": _logged_speed(log_path(save_dir)),
    "metrics": evaluate(_without_baselines(config))[PARTITION],
  }
  json_file.write(path_in(save_dir), {**known, "result": result})
  return result


def _without_baselines(config: HeavyRankerConfig) -> HeavyRankerConfig:
  """The comparison has rows of its own for them."""
  return config.model_copy(
    update={"evaluation": config.evaluation.model_copy(update={"baselines": {}})}
  )


def _logged_speed(path: str) -> Optional[float]:
  """Returns the median speed; the first one logged holds the time to build the graph."""
  with open(path, encoding="utf-8") as file:
    speeds = [float(speed) for speed in _SPEED.findall(file.read())]
  return statistics.median(speeds[1:]) if len(speeds) > 1 else None


def _main() -> None:
  measure(load_config(command_line.config_path(), command_line.overrides()))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Trains and measures one architecture; //benchmarks:architectures runs it for each.

  ./bazelw run //benchmarks:measurement -- --config_path=configs/architectures/mlp.yaml
""",
  )

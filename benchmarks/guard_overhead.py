"""What looking at every gradient costs: steps with and without it, in turns; prints one JSON.

  python -m benchmarks.guard_overhead --config_path=configs/local_prod.yaml --set training.seed=1

Absolute times depend on what else the machine does; the ratio of medians is the answer.
"""

import argparse
import json
import statistics
import tempfile
import time

import tensorflow as tf

from heavy_ranker.config import load_config
from heavy_ranker.full_run import make_random_data_if_missing
from heavy_ranker.training.guarded_updates import Outputs
from heavy_ranker.training.multi_task_ranker import PlacedBatch
from heavy_ranker.training.trainer import Trainer


class _Unguarded(Trainer):
  """Updates whatever the gradients are."""

  @tf.function(autograph=False)
  def _train_step(self, iterator: tf.data.Iterator) -> tuple[Outputs, PlacedBatch]:
    batch = iterator.get_next()
    self._strategy.run(lambda: self._model.train_step(self._part_of(batch[:3])))
    self._step.assign_add(1)
    return {}, batch

  def step(self) -> None:
    """Makes one step."""
    self._train_step(self._iterator)


class _Guarded(Trainer):
  def step(self) -> None:
    """Makes one step, and looks at the answer as training does."""
    outputs, _ = self._train_step(self._iterator)
    if not outputs["is_finite"]:
      raise AssertionError("random data led to a gradient that is not finite")


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--config_path", required=True)
  parser.add_argument("--set", action="append", default=[])
  parser.add_argument("--steps", type=int, default=20)
  arguments = parser.parse_args()
  seconds = {"with": [], "without": []}
  with tempfile.TemporaryDirectory() as folder:
    overrides = [*arguments.set, f"train_data.inputs={folder}/data/*.gz"]
    trainers = {}
    for name, kind in (("with", _Guarded), ("without", _Unguarded)):
      config = load_config(
        arguments.config_path, [*overrides, f"training.save_dir={folder}/{name}"]
      )
      make_random_data_if_missing(config.train_data)
      trainers[name] = kind(config)
      trainers[name].step()
    for turn in range(arguments.steps):
      for name in sorted(trainers, reverse=turn % 2 == 0):
        started = time.perf_counter()
        trainers[name].step()
        seconds[name].append(time.perf_counter() - started)
  medians = {name: statistics.median(values) for name, values in seconds.items()}
  ratios = sorted(one / other for one, other in zip(seconds["with"], seconds["without"]))
  report = {
    "config": arguments.config_path,
    "steps": arguments.steps,
    "median_milliseconds": {name: round(1000 * value, 2) for name, value in medians.items()},
    "ratio_of_medians": round(medians["with"] / medians["without"], 4),
    "ratio_of_fastest": round(min(seconds["with"]) / min(seconds["without"]), 4),
    "median_of_ratios": round(statistics.median(ratios), 4),
  }
  print(json.dumps(report))


if __name__ == "__main__":
  main()

"""Command: makes the first training step, prints what led to it; `benchmarks.startup` runs it."""

import json
import sys
import time

_STARTED = "--started="


def main() -> None:
  """Prints one JSON object: the seconds each part took, from the start of the process on.

  Usage: python -m benchmarks.first_step --started=SECONDS CONFIG_PATH [OVERRIDE ...], where SECONDS
  is what `time.monotonic()` was in the process that started this one.
  """
  started, path, *overrides = sys.argv[1:]
  stamps = [float(started.removeprefix(_STARTED)), time.monotonic()]
  from benchmarks.training_step import TrainingStep
  from heavy_ranker.config import load_config
  from heavy_ranker.config_check import check_config
  from heavy_ranker.features import input_names, schema_widths
  from tfrecords.input_pipeline import InputPipeline

  stamps.append(time.monotonic())
  config = load_config(path, overrides)
  check_config(config, with_partitions=False)
  stamps.append(time.monotonic())
  step = TrainingStep(config, config.train_data.global_batch_size)
  stamps.append(time.monotonic())
  names = input_names(config, schema_widths(config))
  pipeline = InputPipeline(config.train_data, "train", names, list(config.model.tasks))
  batch = next(iter(pipeline.dataset))
  stamps.append(time.monotonic())
  step.trace(batch)
  stamps.append(time.monotonic())
  step(batch)
  stamps.append(time.monotonic())
  step(batch)
  stamps.append(time.monotonic())
  parts = ("python", "import", "config", "model", "data", "trace", "first_step", "second_step")
  print(json.dumps(dict(zip(parts, (b - a for a, b in zip(stamps, stamps[1:]))))))


if __name__ == "__main__":
  main()

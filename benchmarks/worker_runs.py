"""What several workers, or a data service, cost against one process that does all alone."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Optional

from benchmarks import pinned_training
from tfrecords import data_service, paths
from tfrecords.errors import TrainingError

_HOST = "127.0.0.1"
_SECONDS_TO_START = 120.0
_SHOWN = 2000
# The first steps hold the time to build the graph, and caches that fill.
_STEPS_LEFT_OUT = 2


@dataclass(frozen=True)
class Runs:
  """Trains again and again, each time for a few steps.

  Attributes:
    folder: for everything that is written.
    flags: of the configuration, --config_path and --set.
    steps: of each run that count.
    rounds: how often all is measured, in turn, so that whatever else the machine does hits all.
  """

  folder: str
  flags: tuple[str, ...]
  steps: int
  rounds: int

  def scaling(self, workers: int, batch_size: int, micro_batches: int) -> dict[str, Any]:
    """Compares several workers, a core each, with one worker on one core.

    Args:
      workers: how many.
      batch_size: of one worker in weak scaling, of all together in strong scaling.
      micro_batches: batches an update.
    """
    cases = {"one": (1, batch_size), "weak": (workers, workers * batch_size)}
    if batch_size % workers == 0:
      cases["strong"] = (workers, batch_size)
    speeds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(self.rounds):
      for name, (count, global_batch) in cases.items():
        overrides = [
          f"train_data.global_batch_size={global_batch}",
          f"training.gradient_accumulation={micro_batches}",
        ]
        speeds[name].append(self._train(count, overrides))
    one, weak = (statistics.median(speeds[name]) for name in ("one", "weak"))
    examples = batch_size * micro_batches
    seconds_alone, seconds_together = examples / one, workers * examples / weak
    found = {
      "workers": workers,
      "batch_size_a_worker": batch_size,
      "micro_batches": micro_batches,
      "examples_per_second": {name: [round(x, 1) for x in of] for name, of in speeds.items()},
      "weak_scaling_efficiency": round(weak / workers / one, 4),
      "seconds_a_step_alone": round(seconds_alone, 4),
      "seconds_a_step_together": round(seconds_together, 4),
      "seconds_a_step_for_each_other": round(seconds_together - seconds_alone, 4),
    }
    if "strong" in speeds:
      found["strong_scaling_speedup"] = round(statistics.median(speeds["strong"]) / one, 4)
    return found

  def service(self, batch_size: int) -> dict[str, Any]:
    """Compares training from a data service on this machine with training from its files.

    Training is on the first core. The service's processes are on the last core, where they take
    work off training as other machines would; or on the first one as well, where all that a
    service does more than reading files shows.
    """
    batch = f"train_data.global_batch_size={batch_size}"
    plain = "train_data.dataset_service_compression=NONE"
    cores = sorted(os.sched_getaffinity(0))
    with self._service(cores[-1]) as apart, self._service(cores[0]) as beside:
      key = "train_data.data_service_dispatcher"
      variants = {
        "files": [batch],
        "service": [batch, f"{key}={apart}"],
        "service_uncompressed": [batch, f"{key}={apart}", plain],
        "service_on_one_core": [batch, f"{key}={beside}"],
        "service_uncompressed_on_one_core": [batch, f"{key}={beside}", plain],
      }
      speeds: dict[str, list[float]] = {name: [] for name in variants}
      for _ in range(self.rounds):
        for name, overrides in variants.items():
          speeds[name].append(self._train(1, overrides))
    medians = {name: statistics.median(of) for name, of in speeds.items()}
    files = medians.pop("files")
    return {
      "batch_size": batch_size,
      "examples_per_second": {name: [round(x, 1) for x in of] for name, of in speeds.items()},
      "overhead": {name: round(1 - speed / files, 4) for name, speed in medians.items()},
    }

  def _train(self, count: int, overrides: Sequence[str]) -> float:
    """Returns the median speed of the chief's steps, in examples/s over all workers."""
    addresses = [f"{_HOST}:{port}" for port in _free_ports(count)]
    number = len(os.listdir(self.folder))
    folder = os.path.join(self.folder, f"run-{number}")
    os.mkdir(folder)
    overrides = [
      *overrides,
      f"training.save_dir={folder}/run",
      f"training.num_train_steps={self.steps + _STEPS_LEFT_OUT}",
      "training.train_log_every_n=1",
      "training.checkpoint_every_n=1000000",
    ]
    flags = [*self.flags, *(f"--set={override}" for override in overrides)]
    results = [os.path.join(folder, f"speed-{index}.json") for index in range(count)]
    with ExitStack() as stack:
      processes = []
      for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        core = sorted(os.sched_getaffinity(0))[index % os.cpu_count()]
        processes.append(
          _start(
            stack,
            pinned_training.__name__,
            [*flags, f"--core={core}", f"--result_path={results[index]}"],
            os.path.join(folder, f"log-{index}"),
            {"TF_CONFIG": json.dumps(task) if count > 1 else ""},
          )
        )
      for process in processes:
        if process.wait() != 0:
          raise TrainingError(f"a run that was to be measured failed: {_said(process)}")
    with open(results[0], encoding="utf-8") as file:
      return statistics.median(json.load(file)["examples_per_second"][_STEPS_LEFT_OUT:])

  @contextmanager
  def _service(self, core: int) -> Iterator[str]:
    (port,) = _free_ports(1)
    with ExitStack() as stack:
      for flags in (
        ["--role=dispatcher", f"--port={port}"],
        ["--role=worker", f"--dispatcher={_HOST}:{port}"],
      ):
        log = os.path.join(self.folder, f"{flags[0].strip('-')}-of-{port}")
        process = _start(stack, data_service.__name__, flags, log, {}, core)
        _wait_until_ready(process)
      yield f"grpc://{_HOST}:{port}"


def _start(
  stack: ExitStack,
  module: str,
  flags: Sequence[str],
  log: str,
  environment: dict[str, str],
  core: Optional[int] = None,
) -> subprocess.Popen:
  pinned = ["taskset", "-c", str(core)] if core is not None else []
  with open(log, "wb") as file:
    process = subprocess.Popen(
      [*pinned, sys.executable, "-m", module, *flags],
      env={**os.environ, "PYTHONPATH": paths.package_root(), **environment},
      stdin=subprocess.DEVNULL,
      stdout=file,
      stderr=subprocess.STDOUT,
    )
  process.log = log
  stack.callback(process.wait)
  stack.callback(process.kill)
  return process


def _wait_until_ready(process: subprocess.Popen) -> None:
  deadline = time.monotonic() + _SECONDS_TO_START
  while " ready " not in _said(process):
    if process.poll() is not None or time.monotonic() > deadline:
      raise TrainingError(f"the data service did not start: {_said(process)}")
    time.sleep(0.2)


def _said(process: subprocess.Popen) -> str:
  with open(process.log, encoding="utf-8", errors="replace") as file:
    return file.read()[-_SHOWN:]


def _free_ports(count: int) -> list[int]:
  with ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for each in sockets:
      each.bind((_HOST, 0))
    return [each.getsockname()[1] for each in sockets]

"""How fast a model trains, beside the machine's floor and, if there is one, a peer."""

import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Optional

from benchmarks.floor import call_seconds, rounded
from benchmarks.peer import Peer
from benchmarks.training_step import TrainingStep
from benchmarks.work import Machine, Work
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.features import input_names, schema_widths
from tfrecords.input_pipeline import InputPipeline

_FIRST_BATCHES = 3


class TrainingBenchmark:
  """Measures in rounds, so that machine, model and peer see the same hours.

  Args:
    config: the whole configuration.
    batch_sizes: examples a step, each measured by itself.
    rounds: how often everything is measured, in turn.
    steps: how many steps a round.
    peer: what else is measured; None for nothing.
  """

  def __init__(
    self,
    config: HeavyRankerConfig,
    batch_sizes: Sequence[int],
    rounds: int,
    steps: int,
    peer: Optional[Peer] = None,
  ):
    self._config, self._peer = config, peer
    self._sizes, self._rounds, self._steps = sorted(batch_sizes), rounds, steps

  def run(self, input_steps: int = 0) -> dict[str, Any]:
    """Returns everything that was measured, as plain data.

    Args:
      input_steps: how many steps are also made on `train_data`, to see how long they wait for it.
    """
    found = {str(size): self._measure(size) for size in self._sizes}
    result = {**self._work.describe(), "batch_sizes": found}
    if input_steps:
      result["input"] = measure_input(self._config, input_steps)
    return result

  def _measure(self, size: int) -> dict[str, Any]:
    step = TrainingStep(self._config, size)
    self._work = Work.of(step.ranker)
    batch = step.random_batch()
    rounds: list[dict[str, float]] = []
    memory = 0.0
    for _ in range(self._rounds):
      seconds = statistics.median(call_seconds(lambda: step(batch), self._steps))
      # Before the floor is measured, which takes memory of its own; sizes come in rising order.
      memory = memory or peak_memory_mb()
      rounds.append(self._beside(size, seconds))
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    return {
      **{name: rounded(value) for name, value in medians.items()},
      "peak_memory_mb": round(memory),
    }

  def _beside(self, size: int, seconds: float) -> dict[str, float]:
    """Returns a round's figures: ours, the floor's, the peer's, and what ours are of theirs."""
    machine = Machine.measure()
    least = self._work.training_seconds(size, machine)
    found = {
      "examples_per_second": size / seconds,
      "step_milliseconds": 1e3 * seconds,
      "floor_examples_per_second": size / least,
      "share_of_floor": least / seconds,
      **asdict(machine),
    }
    if self._peer is not None:
      theirs = self._peer.examples_per_second(self._peer.measure(size), "train", size)
      found.update(peer_examples_per_second=theirs, to_peer=size / seconds / theirs)
    return found


def measure_input(config: HeavyRankerConfig, steps: int) -> dict[str, Any]:
  """Trains on `train_data` and returns which share of the time the steps wait for a batch."""
  size = config.train_data.global_batch_size
  step = TrainingStep(config, size)
  names = input_names(config, schema_widths(config))
  pipeline = InputPipeline(config.train_data, "train", names, list(config.model.tasks))
  batches = iter(pipeline.dataset)
  for _ in range(_FIRST_BATCHES):
    step(next(batches))
  waiting, started = 0.0, time.perf_counter()
  for _ in range(steps):
    asked = time.perf_counter()
    batch = next(batches)
    waiting += time.perf_counter() - asked
    step(batch)
  taken = time.perf_counter() - started
  return {
    "batch_size": size,
    "steps": steps,
    "examples_per_second": round(steps * size / taken, 1),
    "share_of_time_waiting": round(waiting / taken, 4),
    "waiting_milliseconds_per_step": round(1e3 * waiting / steps, 2),
  }


def peak_memory_mb() -> float:
  """Returns the most memory the process has had so far, in 10^6 bytes."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

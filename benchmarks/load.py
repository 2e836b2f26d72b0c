"""A load generator with bounds on count and time, and the latencies it finds."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

from heavy_ranker.serving.serving_error import ServingError

Call = Callable[[], int]


@dataclass
class Load:
  """What a number of calls came to.

  Attributes:
    seconds: the latency of each call that succeeded.
    examples: how many candidates they scored.
    failures: how many failed, by kind.
    elapsed: from the first to the last, in seconds.
  """

  seconds: list[float] = field(default_factory=list)
  examples: int = 0
  failures: Counter = field(default_factory=Counter)
  elapsed: float = 0.0

  def latency(self) -> dict[str, Any]:
    """Returns p50, p99 and mean in milliseconds, and how many calls they are of."""
    if not self.seconds:
      return {"p50": None, "p99": None, "mean": None, **self.counts()}
    milliseconds = np.array(self.seconds) * 1000
    p50, p99 = np.percentile(milliseconds, [50, 99])
    found = {"p50": p50, "p99": p99, "mean": milliseconds.mean()}
    return {name: round(float(value), 4) for name, value in found.items()} | self.counts()

  def counts(self) -> dict[str, Any]:
    """Returns how many calls succeeded and failed."""
    failed = {"failures": dict(self.failures)} if self.failures else {}
    return {"count": len(self.seconds), "failed": sum(self.failures.values()), **failed}

  def examples_per_second(self) -> float:
    """Returns the throughput."""
    return round(self.examples / max(self.elapsed, 1e-9), 1)

  def time(self, call: Call) -> None:
    """Makes a call and takes its time."""
    started = time.perf_counter()
    try:
      examples = call()
    except ServingError as error:
      self.failures[f"{error.code}: {error.message[:200]}"] += 1
      return
    self.seconds.append(time.perf_counter() - started)
    self.examples += examples

  def add(self, other: "Load") -> None:
    """Adds another thread's calls."""
    self.seconds += other.seconds
    self.examples += other.examples
    self.failures += other.failures


def alternate(calls: Mapping[str, Call], max_calls: int, max_seconds: float) -> dict[str, Load]:
  """Makes calls in turn, one at a time, so that whatever else the machine does hits all alike.

  Args:
    calls: by name; each is made once before anything is measured.
    max_calls: of each.
    max_seconds: of all together.
  """
  loads = {name: Load() for name in calls}
  for call in calls.values():
    Load().time(call)
  started = time.monotonic()
  for _ in range(max_calls):
    for name, call in calls.items():
      loads[name].time(call)
    if time.monotonic() - started > max_seconds:
      break
  return loads


def press(calls: Sequence[Call], max_calls: int, max_seconds: float) -> Load:
  """Makes calls side by side, a thread each, as fast as they return.

  Args:
    calls: one a thread.
    max_calls: of all together.
    max_seconds: of all together.
  """
  with pressing(calls, max_calls, max_seconds) as (load, threads):
    for thread in threads:
      thread.join()
  return load


@contextmanager
def pressing(
  calls: Sequence[Call], max_calls: int, max_seconds: float
) -> Iterator[tuple[Load, list[threading.Thread]]]:
  """A context during which calls are made side by side; its end is theirs. See `press`.

  Yields:
    What the calls come to, complete at the context's end, and the threads.
  """
  total, lock, ended = Load(), threading.Lock(), threading.Event()
  started = time.monotonic()
  left = [max_calls]

  def make_calls(call: Call) -> None:
    own = Load()
    while not ended.is_set() and time.monotonic() - started < max_seconds:
      with lock:
        if left[0] == 0:
          break
        left[0] -= 1
      own.time(call)
    with lock:
      total.add(own)

  threads = [threading.Thread(target=make_calls, args=(call,), daemon=True) for call in calls]
  for thread in threads:
    thread.start()
  try:
    yield total, threads
  finally:
    ended.set()
    for thread in threads:
      thread.join()
    total.elapsed = time.monotonic() - started

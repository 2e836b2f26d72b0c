"""New versions of an export, one after the other, while requests keep coming."""

import os
import shutil
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.load import Call, pressing
from benchmarks.server_process import ServerProcess
from heavy_ranker.serving.serving_error import ServingError

_CALLS = 10_000_000
_SWAP_SECONDS = 60.0
_REST_SECONDS = 0.3
_MEGABYTE = 1e6


def swap_versions(
  server: ServerProcess, base_path: str, calls: Sequence[Call], swaps: int, max_seconds: float
) -> dict[str, Any]:
  """Puts a copy of the newest version beside it, waits until it is served, removes the old one.

  Args:
    server: it watches the folder.
    base_path: the folder of the versions.
    calls: requests that keep coming, one a thread.
    swaps: how often.
    max_seconds: of all of it.

  Returns:
    `done` swaps, the seconds of one on average, the server's memory after each of them, and the
    latencies and counts of the requests meanwhile.
  """
  memory: list[float] = []
  problem, started = None, time.monotonic()
  with pressing(calls, _CALLS, max_seconds) as (load, _):
    while len(memory) < swaps and time.monotonic() - started < max_seconds:
      try:
        _swap(server, base_path)
      except ServingError as error:
        problem = error.message
        break
      time.sleep(_REST_SECONDS)
      memory.append(round(server.resident_bytes() / _MEGABYTE, 1))
    seconds = time.monotonic() - started
  found = {
    "wanted": swaps,
    "done": len(memory),
    "seconds_a_swap": round(seconds / max(len(memory), 1), 2),
    "memory_mb": memory,
    "requests": load.latency(),
  }
  return found if problem is None else {**found, "problem": problem}


def _swap(server: ServerProcess, base_path: str) -> None:
  old = max(int(name) for name in os.listdir(base_path) if name.isdecimal())
  unfinished = os.path.join(base_path, ".copy")
  # Links are enough, since exports never change, and the disk stays as full as it was.
  shutil.copytree(os.path.join(base_path, str(old)), unfinished, copy_function=os.link)
  os.rename(unfinished, os.path.join(base_path, str(old + 1)))
  server.wait_for_version(old + 1, _SWAP_SECONDS)
  shutil.rmtree(os.path.join(base_path, str(old)))

"""Worker processes on this machine, each as a cluster would start it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

_SECONDS_TO_END = 240
_POLL_SECONDS = 0.2


def free_addresses(count: int) -> list[str]:
  """Addresses of this machine whose ports nobody uses."""
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for each in sockets:
      each.bind(("127.0.0.1", 0))
    return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def tf_config(addresses: Sequence[str], index: int) -> str:
  """TF_CONFIG of a worker."""
  return json.dumps(
    {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
  )


@dataclass
class Worker:
  """A process and where it writes what it says."""

  process: subprocess.Popen
  log: Path

  def said(self) -> str:
    """What it has said so far."""
    return self.log.read_text(errors="replace")

  def wait_until_said(self, text: str) -> None:
    """Waits for a text in its output."""
    deadline = time.monotonic() + _SECONDS_TO_END
    while text not in self.said():
      assert self.process.poll() is None and time.monotonic() < deadline, self.said()
      time.sleep(_POLL_SECONDS)

  def exit_code(self) -> int:
    """Waits for its end."""
    return self.process.wait(_SECONDS_TO_END)


@contextlib.contextmanager
def running(
  folder: Path, count: int, *arguments: str, program: Optional[Sequence[str]] = None
) -> Iterator[list[Worker]]:
  """A context with as many workers of one command; what still runs at its end is killed."""
  addresses = free_addresses(count)
  command = program or [sys.executable, "-m", "heavy_ranker.train"]
  workers = []
  try:
    for index in range(count):
      log = folder / f"worker-{index}.log"
      environment = {**os.environ, "TF_CONFIG": tf_config(addresses, index)}
      environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
      with log.open("wb") as file:
        process = subprocess.Popen(
          [*command, *arguments], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
      workers.append(Worker(process, log))
    yield workers
  finally:
    for worker in workers:
      if worker.process.poll() is None:
        worker.process.send_signal(signal.SIGCONT)
        worker.process.kill()
        worker.process.wait()


def require_success(workers: Sequence[Worker]) -> None:
  """Waits for all workers' end without error."""
  for worker in workers:
    assert worker.exit_code() == 0, worker.said()

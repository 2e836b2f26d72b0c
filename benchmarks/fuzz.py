"""Command: runs the readers on files made to hurt; prints one JSON object.

  python -m benchmarks.fuzz --seed=0 --n_cases=1000

The same seed makes the same cases. A case may succeed or be refused with a message; anything else
is a failure, and so is taking more than --seconds. Exit code 1 with failures.
"""

import argparse
import collections
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any, Optional

from benchmarks.fuzz_targets import TARGETS, Target
from tfrecords.errors import UserError

# Cases of the target that is the slowest cost as much as a hundred of the others.
_SHARE = {"pipeline": 0.02}
_MOST_FAILURES_SHOWN = 10


class _TooLongError(Exception):
  pass


def run_case(target: Target, name: str, seed: int, number: int, folder: str) -> str:
  """Runs a case and returns its outcome: "success" or the kind of the UserError.

  Raises:
    Exception: the case has found a defect.
  """
  try:
    target(random.Random(f"{seed}/{name}/{number}"), folder)
  except UserError as error:
    message = str(error)
    message.encode()  # It has to be possible to print it.
    if not message.strip():
      raise AssertionError("an error without a message") from error
    return type(error).__name__
  return "success"


def fuzz(
  seed: int, n_cases: int, names: Sequence[str], seconds: int, first: int = 0
) -> dict[str, Any]:
  """Runs cases of the targets; returns counts, failures and the slowest case.

  Args:
    seed: decides the cases together with their numbers.
    n_cases: of each target; of slow ones a share.
    names: the targets.
    seconds: a case that takes longer is a failure.
    first: the number of the first case.
  """
  outcomes = {name: collections.Counter() for name in names}
  failures, slowest = [], {"seconds": 0.0}
  signal.signal(signal.SIGALRM, _give_up)
  with tempfile.TemporaryDirectory() as folder:
    for name in names:
      for number in range(first, first + max(1, round(n_cases * _SHARE.get(name, 1)))):
        started = time.monotonic()
        signal.alarm(seconds)
        try:
          outcomes[name][run_case(TARGETS[name], name, seed, number, folder)] += 1
        except BaseException as error:
          if isinstance(error, KeyboardInterrupt):
            raise
          outcomes[name]["failure"] += 1
          failures.append({"target": name, "case": number, "error": traceback.format_exc()[-2000:]})
        finally:
          signal.alarm(0)
        took = time.monotonic() - started
        if took > slowest["seconds"]:
          slowest = {"seconds": round(took, 2), "target": name, "case": number}
  return {
    "seed": seed,
    "first": first,
    "cases": sum(sum(counts.values()) for counts in outcomes.values()),
    "outcomes": {name: dict(sorted(counts.items())) for name, counts in outcomes.items()},
    "slowest": slowest,
    "num_failures": len(failures),
    "failures": failures[:_MOST_FAILURES_SHOWN],
  }


def _give_up(number: int, frame: Optional[FrameType]) -> None:
  del number, frame
  raise _TooLongError("the case takes too long")


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--n_cases", type=int, default=1000, help="of each target")
  parser.add_argument("--first", type=int, default=0, help="number of the first case")
  parser.add_argument("--seconds", type=int, default=30, help="the longest a case may take")
  parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
  arguments = parser.parse_args()
  report = fuzz(
    arguments.seed, arguments.n_cases, arguments.targets, arguments.seconds, arguments.first
  )
  print(json.dumps(report, indent=1))
  sys.exit(bool(report["num_failures"]))


if __name__ == "__main__":
  main()

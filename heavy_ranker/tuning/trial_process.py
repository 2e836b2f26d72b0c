"""Runs a trial in a process of its own and talks with it (see `heavy_ranker.tuning.trial_run`)."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from heavy_ranker.config.objective import Objective
from heavy_ranker.tuning import trial_run
from tfrecords import paths
from tfrecords.errors import Preempted, StorageError

OUTPUT_FILE = "output.txt"
_SECONDS_TO_END = 120.0
_MOST_OUTPUT = 600


@dataclass(frozen=True)
class Trial:
  """What a trial is made of.

  Attributes:
    config_path: its configuration, whose `training.save_dir` is `folder`.
    folder: holds everything of the trial.
    objective: what is measured.
    rungs: steps before the last after which it is measured.
  """

  config_path: str
  folder: str
  objective: Objective
  rungs: list[int]


class TrialFailed(Exception):
  """A trial has no result.

  Args:
    message: why.
    exit_code: of the process.
  """

  def __init__(self, message: str, exit_code: int = 1):
    super().__init__(message)
    self.exit_code = exit_code


def run_trial(trial: Trial, goes_on: Callable[[int, float], bool]) -> Optional[float]:
  """Runs a trial in a process of its own; what it prints goes to `FOLDER/output.txt`.

  Args:
    trial: what to run.
    goes_on: is told step and value after each rung.

  Returns:
    The objective's value, or None if the trial did not go on to the end.

  Raises:
    TrialFailed: it has none.
    StorageError: the disk is full, say, which is no fault of the trial's.
    Preempted, KeyboardInterrupt: the trial's process was told to end, or this one; either way it
      has written a checkpoint.
  """
  output_path = os.path.join(trial.folder, OUTPUT_FILE)
  with open(output_path, "a", encoding="utf-8") as output:
    process = subprocess.Popen(
      [sys.executable, "-m", trial_run.__name__],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=output,
      text=True,
      # Ctrl-C is for this process, which then ends the trial's as clusters do, with SIGTERM.
      start_new_session=True,
      env={**os.environ, "PYTHONPATH": paths.package_root()},
    )
  try:
    answer = _converse(process, trial, goes_on)
    code = process.wait()
  except BaseException:
    _end(process)
    raise
  if "result" in answer and code == 0:
    return answer["result"]
  raise _failure(answer, code, output_path)


def _converse(
  process: "subprocess.Popen[str]", trial: Trial, goes_on: Callable[[int, float], bool]
) -> dict[str, Any]:
  """Answers reports; returns the last line, or nothing if the process ends without one."""
  job = {
    "config_path": trial.config_path,
    "objective": trial.objective.model_dump(),
    "rungs": trial.rungs,
  }
  try:
    _send(process, job)
    for line in process.stdout:
      message = json.loads(line)
      if "step" not in message:
        return message
      _send(process, goes_on(message["step"], message["value"]))
  except BrokenPipeError:
    pass  # It has ended; its exit code tells more.
  return {}


def _send(process: "subprocess.Popen[str]", content: Any) -> None:
  process.stdin.write(json.dumps(content) + "\n")
  process.stdin.flush()


def _failure(answer: dict[str, Any], code: int, output_path: str) -> BaseException:
  if "error" in answer and answer["exit_code"] == StorageError.exit_code:
    return StorageError(answer["error"])
  if "error" in answer:
    return TrialFailed(answer["error"], answer["exit_code"])
  if code == Preempted.exit_code:
    return Preempted("the trial's process was told to end (SIGTERM). The same command goes on")
  if code == 130 or code == -signal.SIGINT:
    return KeyboardInterrupt()
  ended = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
  with open(output_path, encoding="utf-8", errors="replace") as file:
    last = file.read()[-_MOST_OUTPUT:].strip()
  return TrialFailed(f"the trial's process ended with {ended}; the last it said: {last}")


def _end(process: "subprocess.Popen[str]") -> None:
  """Asks the process to end, which takes it a step and a checkpoint; a second signal kills it."""
  if process.poll() is None:
    print("ending the trial after its step (Ctrl-C ends it at once)", file=sys.stderr, flush=True)
  process.terminate()
  try:
    process.wait(_SECONDS_TO_END)
  except BaseException as error:
    process.kill()
    process.wait()
    if not isinstance(error, subprocess.TimeoutExpired):
      raise

"""A training command that is killed again and again, in every phase of a run."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from heavy_ranker.checkpoints import checkpoint_folder
from heavy_ranker.training.run_log import log_path
from tfrecords import paths
from tfrecords.errors import Preempted

STARTING, STEP, CHECKPOINT = "starting", "step", "checkpoint"
EVALUATION, EXPORT = "evaluation", "export"
PHASES = (STARTING, STEP, CHECKPOINT, EVALUATION, EXPORT)
_BEFORE_LAST_CHECKPOINT = (STARTING, STEP, CHECKPOINT)
_LOOK_EVERY_SECONDS = 0.002
_MOST_SECONDS = 600.0
_MOST_STEPS_AHEAD = 3


def plan(kills: int, generator: random.Random) -> list[str]:
  """Returns the phases to kill in, in the order in which a run comes to them.

  Args:
    kills: how many.
    generator: decides which phases come how often; each comes once if there are enough kills.
  """
  drawn = [*PHASES[:kills], *generator.choices(PHASES, k=max(0, kills - len(PHASES)))]
  early = [phase for phase in drawn if phase in _BEFORE_LAST_CHECKPOINT]
  generator.shuffle(early)
  return early + sorted(phase for phase in drawn if phase not in _BEFORE_LAST_CHECKPOINT)


class KilledRun:
  """A run that is started by the same command each time.

  Args:
    flags: of `python -m heavy_ranker.train`, `--export_dir` and `training.save_dir` left out.
    save_dir: the run's folder.
    export_dir: the folder of its exports.
    last_step: `training.num_train_steps`.
    generator: draws the moments.

  Attributes:
    killed: the phase of each kill, in order, as the files showed it then.
  """

  def __init__(
    self,
    flags: Sequence[str],
    save_dir: str,
    export_dir: str,
    last_step: int,
    generator: random.Random,
  ):
    self._command = [
      *(sys.executable, "-m", "heavy_ranker.train", *flags),
      *("--set", f"training.save_dir={save_dir}", f"--export_dir={export_dir}"),
    ]
    self._save_dir, self._export_dir = save_dir, export_dir
    self._last_step, self._random = last_step, generator
    self._longest_start = 1.0
    self.killed: list[str] = []

  def finish(self) -> str:
    """Runs the command to its end and returns what it printed.

    Raises:
      RuntimeError: it failed.
    """
    done = subprocess.run(
      self._command, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
      raise RuntimeError(f"exit code {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout

  def kill_in(self, phase: str, number: int = signal.SIGKILL, times: int = 1) -> None:
    """Starts the command and ends it at a random moment of a phase.

    Args:
      phase: one of PHASES.
      number: the signal: SIGKILL, or SIGTERM, which has to end it with exit code 10.
      times: how often to send it.

    Raises:
      RuntimeError: it ended in another way.
    """
    is_there, most_seconds = self._moment(phase)
    process = subprocess.Popen(
      self._command,
      env=_environment(),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
    )
    started = time.monotonic()
    while not is_there() and process.poll() is None and time.monotonic() - started < _MOST_SECONDS:
      time.sleep(_LOOK_EVERY_SECONDS)
    self._longest_start = max(self._longest_start, min(time.monotonic() - started, 20.0))
    time.sleep(self._random.uniform(0.0, most_seconds))
    found = self._phase()
    for _ in range(times):
      process.send_signal(number)
    _, errors = process.communicate()
    wanted = Preempted.exit_code if number == signal.SIGTERM else -number
    if process.returncode != wanted:
      raise RuntimeError(
        f"phase {phase}: found exit code {process.returncode}, expected {wanted}: "
        f"{errors[-3000:].decode()}"
      )
    self.killed.append(found)

  def _moment(self, phase: str) -> tuple[Callable[[], bool], float]:
    """Returns what shows that a phase has begun, and how long after that to kill at most."""
    if phase == STARTING:
      return lambda: True, self._longest_start
    if phase == STEP:
      wanted = self._newest_logged() + self._random.randint(1, _MOST_STEPS_AHEAD)
      wanted = min(wanted, self._last_step - 1)
      before = self._log_size()
      return lambda: self._log_size() != before and self._newest_logged() >= wanted, 0.05
    if phase == CHECKPOINT:
      return lambda: bool(self._unfinished_checkpoints()), 0.2
    if phase == EVALUATION:
      return self._is_trained, 1.5
    return lambda: bool(self._unfinished_exports()), 0.8

  def _phase(self) -> str:
    if self._unfinished_checkpoints():
      return CHECKPOINT
    if not self._is_trained():
      return STEP if self._log_size() else STARTING
    if self._unfinished_exports():
      return EXPORT
    return EVALUATION

  def _unfinished_checkpoints(self) -> list[str]:
    return _names(checkpoint_folder(self._save_dir), "unfinished-")

  def _unfinished_exports(self) -> list[str]:
    return _names(self._export_dir, ".unfinished-")

  def _is_trained(self) -> bool:
    path = Path(checkpoint_folder(self._save_dir)) / f"step-{self._last_step}.manifest"
    return path.exists()

  def _log_size(self) -> int:
    path = Path(log_path(self._save_dir))
    return path.stat().st_size if path.exists() else 0

  def _newest_logged(self) -> int:
    path = Path(log_path(self._save_dir))
    words = path.read_text(encoding="utf-8").split() if path.exists() else []
    return max((int(word[5:]) for word in words if word.startswith("step=")), default=0)


def _names(folder: str, prefix: str) -> list[str]:
  try:
    return [name for name in os.listdir(folder) if name.startswith(prefix)]
  except FileNotFoundError:
    return []


def _environment() -> dict[str, str]:
  return {**os.environ, "PYTHONPATH": paths.package_root()}

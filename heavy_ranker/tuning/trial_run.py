"""Command: trains and measures one trial of a search; `//heavy_ranker:tune` runs it for each.

Each trial has a process of its own, since TensorFlow keeps what it has built as long as one lives.
The search writes lines of JSON to standard input, first the job, then whether to go on after each
report, and reads lines of JSON from standard output. What training prints goes to standard error.
When standard input ends, the search is no more, and the trial ends as for SIGTERM.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Optional

from heavy_ranker import preemption
from heavy_ranker.config import HeavyRankerConfig, load_config
from heavy_ranker.config.objective import Objective
from tfrecords import command_line, paths
from tfrecords.errors import StorageError, UserError

# The values of the stages that are finished, by step.
_STAGES_FILE = "stages.json"


def run_stages(
  config: HeavyRankerConfig,
  objective: Objective,
  rungs: list[int],
  goes_on: Callable[[int, float], bool],
) -> Optional[float]:
  """Trains up to each rung, measures there, and asks whether it is worth to go on.

  Training resumes bit for bit, so that the stages together are one run. Stages that an earlier
  process finished are not made again. With `training.early_stopping` the best checkpoint so far is
  measured, also at rungs that lie behind the step at which it has ended training.

  Args:
    config: the trial's configuration, with a `training.save_dir` of its own.
    objective: what is measured.
    rungs: the steps before the last, ascending.
    goes_on: is told step and value of the objective.

  Returns:
    The value after the last step, or None if the trial does not go on to there.

  Raises:
    UserError: the trial cannot be trained or measured.
  """
  from heavy_ranker.evaluation.evaluator import Evaluator
  from heavy_ranker.evaluation.objective import mean_value, objective_values, only_objective
  from heavy_ranker.training.trainer import train

  path = os.path.join(paths.resolve(config.training.save_dir, "training.save_dir"), _STAGES_FILE)
  values = _read_stages(path)
  evaluator: Optional[Evaluator] = None
  last_step = config.training.num_train_steps
  for step in [*rungs, last_step]:
    if step not in values:
      stage = config.training.model_copy(update={"num_train_steps": step})
      train(config.model_copy(update={"training": stage}))
      evaluator = evaluator or Evaluator(only_objective(config, objective), writes_report=False)
      partition = evaluator.run()["partitions"][objective.partition]
      values[step] = mean_value(objective_values(objective, partition, "objective"))
      _write_stages(path, values)
    if step != last_step and not goes_on(step, values[step]):
      return None
  return values[last_step]


def _read_stages(path: str) -> dict[int, float]:
  if not os.path.exists(path):
    return {}
  with open(path, encoding="utf-8") as file:
    return {int(step): value for step, value in json.load(file).items()}


def _write_stages(path: str, values: dict[int, float]) -> None:
  try:
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
      json.dump(values, file)
    os.replace(f"{path}.tmp", path)
  except OSError as error:
    raise StorageError(
      f"{path}: cannot be written: {error.strerror}. Free space there, and run the same command "
      "again"
    ) from None


class _Channel:
  """The lines to and from the search."""

  def __init__(self):
    self._output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    self._lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=self._read, daemon=True).start()

  def _read(self) -> None:
    # Not by sys.stdin, whose lock this thread would hold when the process ends.
    rest = b""
    while found := os.read(sys.stdin.fileno(), 1 << 16):
      *lines, rest = (rest + found).split(b"\n")
      for line in lines:
        self._lines.put(line)
    os.kill(os.getpid(), signal.SIGTERM)

  def read(self) -> Any:
    while True:
      preemption.check()
      try:
        return json.loads(self._lines.get(timeout=0.2))
      except queue.Empty:
        continue

  def write(self, **content: Any) -> None:
    self._output.write(json.dumps(content) + "\n")
    self._output.flush()

  def goes_on(self, step: int, value: float) -> bool:
    self.write(step=step, value=value)
    return bool(self.read())


@preemption.handled()
def _main() -> None:
  channel = _Channel()
  job = channel.read()
  try:
    config = load_config(job["config_path"])
    objective = Objective.model_validate(job["objective"])
    channel.write(result=run_stages(config, objective, job["rungs"], channel.goes_on))
  except UserError as error:
    channel.write(error=str(error), exit_code=error.exit_code)
    raise
  except MemoryError:
    channel.write(error="out of memory", exit_code=1)
    raise


if __name__ == "__main__":
  command_line.run(
    _main, "Trains and measures one trial of a search; //heavy_ranker:tune runs it for each."
  )

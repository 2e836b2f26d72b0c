"""Evaluates the checkpoints of a run while training writes them."""

import sys
import time
from typing import Optional

import tensorflow as tf

from heavy_ranker.checkpoint_manifest import damage
from heavy_ranker.checkpoints import checkpoint_folder, checkpoints_of, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.early_stopping_record import stopping_step
from heavy_ranker.evaluation.evaluator import Evaluator
from heavy_ranker.evaluation.results_file import results_path
from heavy_ranker.evaluation.table import format_result
from tfrecords import paths
from tfrecords.errors import CheckpointError, NothingNewError

_SECONDS_BETWEEN_LOOKS = 5.0


def follow(
  config: HeavyRankerConfig,
  again: bool = False,
  seconds_between_looks: float = _SECONDS_BETWEEN_LOOKS,
) -> str:
  """Measures each checkpoint without a result, the oldest first, until training is done.

  Training is done when the checkpoint of `training.num_train_steps`, or the one at which
  `training.early_stopping` ended it, has a result. A checkpoint that
  training deletes before its turn is left out, and so is a damaged one, with a warning, unless
  training replaces it meanwhile.

  Args:
    config: the whole configuration.
    again: measure checkpoints that have a result, too, each once.
    seconds_between_looks: how long to wait before looking for new checkpoints.

  Returns:
    A sentence that says how many checkpoints were measured and why it ended.

  Raises:
    NothingNewError: no new checkpoint came for `training.eval_timeout_in_s` seconds.
    UserError: configuration, data or a checkpoint cannot be used.
  """
  return _Follower(config, again, seconds_between_looks).run()


class _Follower:
  def __init__(self, config: HeavyRankerConfig, again: bool, seconds_between_looks: float):
    self._config, self._again, self._pause = config, again, seconds_between_looks
    self._save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
    self._evaluator = Evaluator(config)
    # What cannot be used shows now rather than after hours of waiting.
    self._evaluator.set_up()
    self._done: set[int] = set()
    self._left_out: list[int] = []
    self._damaged: dict[int, str] = {}

  def run(self) -> str:
    timeout = self._config.training.eval_timeout_in_s
    waiting_since = time.monotonic()
    announced = False
    while True:
      path = self._next()
      if path is not None:
        announced = False
        self._evaluate(path)
        waiting_since = time.monotonic()
      elif self._is_training_done():
        return f"training is done: {self._summary()}"
      elif time.monotonic() - waiting_since >= timeout:
        raise NothingNewError(
          f"{checkpoint_folder(self._save_dir)}: no new checkpoint for {timeout:g} s "
          f"(training.eval_timeout_in_s), and none of step {self._last_step()} "
          f"(training.num_train_steps) yet; {self._summary()}. See whether training still runs, "
          "and follow it again"
        )
      else:
        if not announced:
          print(f"waiting for a checkpoint in {checkpoint_folder(self._save_dir)}", flush=True)
          announced = True
        time.sleep(self._pause)

  def _last_step(self) -> int:
    stopped_at = stopping_step(self._config, self._save_dir)
    return self._config.training.num_train_steps if stopped_at is None else stopped_at

  def _next(self) -> Optional[str]:
    """Returns the oldest checkpoint that waits to be measured and is there whole."""
    waiting = (path for path in checkpoints_of(self._save_dir) if not self._is_measured(path))
    return next(filter(self._is_intact, waiting), None)

  def _is_intact(self, path: str) -> bool:
    wrong, step = damage(path), step_of(path)
    if wrong is None:
      self._damaged.pop(step, None)
      return True
    if tf.io.gfile.exists(f"{path}.index") and self._damaged.get(step) != wrong:
      print(
        f"warning: {path}: damaged: {wrong}. It is left out unless training replaces it",
        file=sys.stderr,
        flush=True,
      )
      self._damaged[step] = wrong
    return False

  def _is_measured(self, path: str) -> bool:
    step = step_of(path)
    if step in self._done:
      return True
    return not self._again and self._has_result(step)

  def _has_result(self, step: int) -> bool:
    return bool(tf.io.gfile.exists(results_path(self._save_dir, step)))

  def _is_training_done(self) -> bool:
    steps, last = [step_of(path) for path in checkpoints_of(self._save_dir)], self._last_step()
    return any(step >= last and (step in self._done or self._has_result(step)) for step in steps)

  def _evaluate(self, path: str) -> None:
    step = step_of(path)
    try:
      result = self._evaluator.run(path)
    except CheckpointError:
      if tf.io.gfile.exists(f"{path}.index"):
        raise
      print(f"step {step}: training deleted the checkpoint before it was read", flush=True)
      self._left_out.append(step)
    else:
      print(f"\nstep {step} ({result['seconds']:.0f} s)\n{format_result(result)}", flush=True)
    self._done.add(step)

  def _summary(self) -> str:
    measured = len(self._done) - len(self._left_out)
    deleted = f", {len(self._left_out)} deleted before their turn" if self._left_out else ""
    damaged = f", {len(self._damaged)} left out as damaged" if self._damaged else ""
    return f"{measured} checkpoint(s) measured{deleted}{damaged}"

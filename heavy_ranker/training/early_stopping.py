"""Early stopping: measures checkpoints as they are written, and ends training in time.

What was measured is kept in `SAVE_DIR/early_stopping.json`. All else follows from it, so that a run
that was interrupted anywhere decides as one that was not.
"""

import os
import sys
import time
from typing import Optional

import tensorflow as tf

from heavy_ranker.best_checkpoint import checkpoint_of, index_digest, what_is_wrong
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.early_stopping_record import (
  EarlyStoppingRecord,
  Evaluation,
  Standing,
  data_digest,
  plain_objective,
  read_record,
  standing,
  write_record,
)
from heavy_ranker.evaluation.objective import ObjectiveMeter, mean_value
from heavy_ranker.training.cluster.cluster import Cluster
from heavy_ranker.training.log_history import has_event, keep_scalars
from heavy_ranker.training.run_log import RunLog, tensorboard_folder
from tfrecords.errors import StorageError, reason

_KEY = "training.early_stopping"
_EVENT = "early_stopping"


class EarlyStopping:
  """Measures checkpoints and tells which of them is the best, and when training is over.

  Of several workers the chief measures, and all learn of it: each calls the same methods.

  Args:
    config: the whole configuration, with `training.early_stopping`.
    save_dir: the run's folder.
    cluster: the workers that train.

  Raises:
    ConfigError, DataError: the partition or its files cannot be used.
  """

  def __init__(self, config: HeavyRankerConfig, save_dir: str, cluster: Cluster):
    self._training, self._section = config.training, config.training.early_stopping
    self._save_dir, self._cluster = save_dir, cluster
    self._meter = ObjectiveMeter(config, self._section, _KEY) if cluster.is_chief else None
    self._empty = EarlyStoppingRecord(
      objective=plain_objective(self._section), data=data_digest(config, self._section)
    )
    self._evaluations: list[Evaluation] = []
    self._is_told = False
    self._writer: Optional[tf.summary.SummaryWriter] = None

  @property
  def kept_steps(self) -> tuple[int, ...]:
    """The steps of the checkpoints that have to stay: that of the best one."""
    return (self._standing.best.step,) if self._evaluations else ()

  @property
  def verdict(self) -> Optional[str]:
    """Why training is over before its last step, or None if it goes on."""
    if not self._evaluations or self._standing.waiting < self._section.patience:
      return None
    best, last = self._standing.best, self._evaluations[-1]
    if last.step >= self._training.num_train_steps:
      return None
    return (
      f"{_KEY} ended training after step {last.step} of {self._training.num_train_steps}: "
      f"{self._standing.waiting} evaluations without an improvement (patience "
      f"{self._section.patience}); the best is step {best.step}, {self._section.metric} "
      f"{best.value:.6g} on {self._section.partition}"
    )

  def restore(self, step: int) -> None:
    """Goes back to what was known when a checkpoint was written.

    Args:
      step: the updates behind the checkpoint that the run resumes from; 0 without one.

    Raises:
      CheckpointError, StorageError: the record cannot be read or written.
    """
    self._step = step
    if self._cluster.is_chief:
      found = read_record(self._save_dir)
      self._evaluations = [] if found is None else self._still_valid(found)
      if found is not None and found != self._record():
        write_record(self._save_dir, self._record())
      self._is_told = has_event(self._save_dir, _EVENT, step)
      self._drop_scalars()
    self._share("early stopping is restored")
    self._is_told = self._cluster.gather("early stopping is told of", self._is_told)[0]

  def catch_up(self) -> None:
    """Does what an earlier process, which ended right after the checkpoint, has not come to.

    Raises:
      UserError: see `measure`.
    """
    step = self._step
    is_measured = any(each.step == step for each in self._evaluations)
    if step == 0 or not self._is_due(step) or (is_measured and self._is_told):
      return
    last_step, is_chief = self._training.num_train_steps, self._cluster.is_chief
    with RunLog(self._save_dir, step, last_step, is_chief) as log:
      if is_measured:
        self._tell(log)
      else:
        self.measure(checkpoint_of(self._save_dir, step), step, log)

  def measure(self, checkpoint: str, step: int, log: RunLog) -> None:
    """Measures a checkpoint that was just written, unless SIGTERM comes meanwhile.

    It is then measured when the run resumes.

    Args:
      checkpoint: its path.
      step: the updates behind it.
      log: where to tell of it.

    Raises:
      DataError: the data cannot be read, or the metric is not defined on it.
      CheckpointError: the model predicts something that is not finite.
      StorageError: what was found cannot be written.
    """
    if not self._is_due(step):
      return
    log.pause()
    values = None
    if self._cluster.is_chief:
      started = time.monotonic()
      values = self._meter.measure(checkpoint, lambda: not self._cluster.is_stopping())
      if values is not None:
        evaluation = Evaluation(
          step=step,
          value=mean_value(values),
          values=values,
          is_extra=step % self._training.checkpoint_every_n != 0,
          index=index_digest(checkpoint),
          seconds=round(time.monotonic() - started, 3),
        )
        self._evaluations = [*self._evaluations, evaluation]
        write_record(self._save_dir, self._record())
    self._share(f"early stopping at step {step}")
    if self._evaluations and self._evaluations[-1].step == step:
      self._tell(log)
    log.resume()

  def _is_due(self, step: int) -> bool:
    """Not at checkpoints that only SIGTERM has brought: how often it comes must not count."""
    section = self._training
    return step % section.checkpoint_every_n == 0 or step == section.num_train_steps

  @property
  def _standing(self) -> Standing:
    return standing(self._section, self._evaluations)

  def _record(self) -> EarlyStoppingRecord:
    best_step = self._standing.best.step if self._evaluations else None
    return self._empty.model_copy(update={"best_step": best_step, "evaluations": self._evaluations})

  def _still_valid(self, found: EarlyStoppingRecord) -> list[Evaluation]:
    """Returns the evaluations that a run which was never interrupted would know now."""
    if (found.objective, found.data) != (self._empty.objective, self._empty.data):
      self._warn("what it measures has changed: it counts anew from the present checkpoint")
      return []
    valid = [
      each
      for each in found.evaluations
      if each.step < self._step or (each.step == self._step and self._is_same(each))
    ]
    # A run that goes on behind its earlier end does as if that had never been one.
    valid = [each for each in valid if not each.is_extra or self._is_due(each.step)]
    if not valid:
      return []
    best = standing(self._section, valid).best
    wrong = what_is_wrong(self._save_dir, best)
    if wrong is None:
      return valid
    left = [each for each in valid if self._is_same(each)]
    self._warn(
      f"the best checkpoint, of step {best.step}, cannot be used: {wrong}. Of {len(valid)} "
      f"evaluations those {len(left)} count whose checkpoints are there"
    )
    return left

  def _is_same(self, evaluation: Evaluation) -> bool:
    return what_is_wrong(self._save_dir, evaluation) is None

  def _warn(self, text: str) -> None:
    print(f"warning: {_KEY}: {text}", file=sys.stderr, flush=True)

  def _share(self, what: str) -> None:
    """Tells all workers what the chief knows."""
    mine = [each.model_dump() for each in self._evaluations]
    found = self._cluster.gather(what, mine)[0]
    self._evaluations = [Evaluation(**each) for each in found]

  def _tell(self, log: RunLog) -> None:
    """The line in the log comes last: where it is, nothing is missing."""
    newest, best = self._evaluations[-1], self._standing.best
    if self._cluster.is_chief:
      self._write_scalars(newest)
    text = f"{self._section.metric} on {self._section.partition} is {newest.value:.6g}"
    verdict = self.verdict
    log.event(
      _EVENT,
      text if verdict is None else f"{text}; {verdict}",
      best=f"{best.value:.6g}",
      best_step=best.step,
      without_improvement=self._standing.waiting,
      seconds=f"{newest.seconds:.2f}",
    )

  def _scalars_folder(self) -> str:
    return os.path.join(tensorboard_folder(self._save_dir), "early_stopping")

  def _drop_scalars(self) -> None:
    """Brings the scalars to what was told of in the log."""
    steps = {each.step for each in self._evaluations if each.step < self._step or self._is_told}
    try:
      # The first event of a file, its format's version, is of step 0.
      keep_scalars(self._scalars_folder(), lambda step: step == 0 or step in steps)
    except (tf.errors.OpError, OSError) as error:
      raise self._not_written(error) from None

  def _write_scalars(self, newest: Evaluation) -> None:
    """Writes `METRIC`, the mean, and `METRIC/TASK`."""
    metric = self._section.metric
    try:
      if self._writer is None:
        self._writer = tf.summary.create_file_writer(self._scalars_folder())
      with self._writer.as_default(newest.step):
        tf.summary.scalar(metric, newest.value)
        for task, value in newest.values.items():
          tf.summary.scalar(f"{metric}/{task}", value)
      self._writer.flush()
    except (tf.errors.OpError, OSError) as error:
      raise self._not_written(error) from None

  def _not_written(self, error: Exception) -> StorageError:
    return StorageError(
      f"{self._scalars_folder()}: cannot be written: {reason(error)}. Free space there and run the "
      "same command again: it goes on"
    )

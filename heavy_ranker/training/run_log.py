"""What a training run tells: a bar for people, a log to grep, scalars for TensorBoard."""

import datetime
import json
import os
import sys
import time
from collections.abc import Mapping

import tensorflow as tf

from tfrecords.errors import StorageError, reason
from tfrecords.files import flush_to_disk
from tfrecords.progress import progress_bar

_LOG_FILE = "train.log"
_TENSORBOARD_FOLDER = "tensorboard"


def log_path(save_dir: str) -> str:
  """Returns the run's log file, one line of key=value pairs an event."""
  return os.path.join(save_dir, _LOG_FILE)


def tensorboard_folder(save_dir: str) -> str:
  """Returns the folder to hand to `tensorboard --logdir`."""
  return os.path.join(save_dir, _TENSORBOARD_FOLDER)


class RunLog:
  """Writes the log, the scalars and the bar of one run; use it as a context.

  Args:
    save_dir: the run's folder.
    first_step: updates made before this process.
    last_step: updates in all.
    is_written: write the log and the scalars; otherwise only what the terminal shows remains.
  """

  def __init__(self, save_dir: str, first_step: int, last_step: int, is_written: bool = True):
    self._path, self._is_written = log_path(save_dir), is_written
    if is_written:
      folder = os.path.join(tensorboard_folder(save_dir), "train")
      self._writer = tf.summary.create_file_writer(folder)
    else:
      self._writer = tf.summary.create_noop_writer()
    self._bar = progress_bar(last_step, "training", unit="step", initial=first_step)
    self._step, self._logged_step, self._logged_at = first_step, first_step, time.monotonic()

  def __enter__(self) -> "RunLog":
    return self

  def __exit__(self, *exception: object) -> None:
    self._bar.close()
    try:
      self._writer.close()
    except tf.errors.OpError as error:
      # Whatever ended the run says more than that its scalars cannot be written either.
      if exception[0] is None:
        raise self._not_written(error) from None

  def event(self, kind: str, text: str, **figures: object) -> None:
    """Tells something that happens once, on the terminal and in the log.

    The line is event=KIND at=STEP text="...", then the figures; STEP is that of the last
    `advance`. A run that resumes from an earlier step drops it, see `log_history`.

    Args:
      kind: one word.
      text: what happened, for people.
      figures: key=value pairs.
    """
    shown = "".join(f", {name} {value}" for name, value in figures.items())
    self._bar.write(f"{kind}: {text}{shown}", file=sys.stdout)
    sys.stdout.flush()
    self._append(event=kind, at=self._step, text=json.dumps(text), **figures)

  def advance(self) -> None:
    """Counts one step."""
    self._step += 1
    self._bar.update(1)

  def flush(self) -> None:
    """Returns once all that was logged is in the files: what a checkpoint's reader relies on.

    Raises:
      StorageError: it cannot be written.
    """
    try:
      self._writer.flush()
      if self._is_written and os.path.exists(self._path):
        flush_to_disk(self._path)
    except (tf.errors.OpError, OSError) as error:
      raise self._not_written(error) from None

  def step(
    self,
    step: int,
    examples_per_step: int,
    losses: Mapping[str, float],
    learning_rates: Mapping[str, float],
    log_variances: Mapping[str, float],
    row_lengths: Mapping[str, float],
    gradient_norms: Mapping[str, float],
  ) -> dict[str, float]:
    """Logs a step.

    Args:
      step: updates made.
      examples_per_step: the global batch size.
      losses: the total under "loss", and each task's under its name.
      learning_rates: by group, as the update used them.
      log_variances: by task, as the update left them; empty unless they are learned.
      row_lengths: by table of `tables_to_log`.
      gradient_norms: by group, of the update's gradients; empty unless they are to be logged.

    Returns:
      What was logged: `step`, `loss`, `loss/TASK`, `log_variance/TASK` and `gradient_norm/GROUP` of
      those there are and `examples_per_second`.
    """
    now = time.monotonic()
    seconds = max(now - self._logged_at, 1e-9)
    examples_per_second = (step - self._logged_step) * examples_per_step / seconds
    self._logged_step, self._logged_at = step, now
    scalars = {("loss" if name == "loss" else f"loss/{name}"): v for name, v in losses.items()}
    scalars.update({f"log_variance/{task}": value for task, value in log_variances.items()})
    scalars.update({f"gradient_norm/{group}": norm for group, norm in gradient_norms.items()})
    scalars["examples_per_second"] = examples_per_second
    rates = {f"learning_rate/{group}": rate for group, rate in learning_rates.items()}
    lengths = {f"row_length/{table}": length for table, length in row_lengths.items()}
    self._write_scalars(step, {**scalars, **rates, **lengths})
    self._bar.set_postfix(loss=f"{losses['loss']:.4f}", examples_s=f"{examples_per_second:.0f}")
    self._append(step=step, **{name: f"{value:.6g}" for name, value in scalars.items()})
    if self._bar.disable:
      print(
        f"step {step}: loss {losses['loss']:.5f}, {examples_per_second:.0f} examples/s", flush=True
      )
    return {"step": step, **scalars}

  def _write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    try:
      with self._writer.as_default(step):
        for name, value in scalars.items():
          tf.summary.scalar(name, value)
    except tf.errors.OpError as error:
      raise self._not_written(error) from None

  def pause(self) -> None:
    """Takes what comes next (a checkpoint, say) out of the time a step is charged with."""
    self._paused_at = time.monotonic()

  def resume(self) -> None:
    """Ends a pause."""
    self._logged_at += time.monotonic() - self._paused_at

  def _append(self, **fields: object) -> None:
    if not self._is_written:
      return
    stamp = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    line = " ".join([stamp, *(f"{name}={value}" for name, value in fields.items())])
    try:
      with tf.io.gfile.GFile(self._path, "a") as file:
        file.write(line + "\n")
    except (tf.errors.OpError, OSError) as error:
      raise self._not_written(error) from None

  def _not_written(self, error: Exception) -> StorageError:
    return StorageError(
      f"{self._path}: the log cannot be written: {reason(error)}. Free space there and run the "
      "same command again: it resumes from the newest checkpoint"
    )

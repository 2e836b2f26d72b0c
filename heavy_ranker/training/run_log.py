"""What a training run tells: a bar for people, a log to grep, scalars for TensorBoard."""

import datetime
import json
import os
import sys
import time
from collections.abc import Mapping

import tensorflow as tf

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
    self._logged_step, self._logged_at = first_step, time.monotonic()

  def __enter__(self) -> "RunLog":
    return self

  def __exit__(self, *exception: object) -> None:
    self._bar.close()
    self._writer.close()

  def event(self, kind: str, text: str) -> None:
    """Tells something that happens once, on the terminal and in the log (event=KIND text="...")."""
    self._bar.write(f"{kind}: {text}", file=sys.stdout)
    sys.stdout.flush()
    self._append(event=kind, text=json.dumps(text))

  def advance(self) -> None:
    """Counts one step."""
    self._bar.update(1)

  def step(
    self,
    step: int,
    examples_per_step: int,
    losses: Mapping[str, float],
    learning_rates: Mapping[str, float],
    log_variances: Mapping[str, float],
    row_lengths: Mapping[str, float],
  ) -> dict[str, float]:
    """Logs a step.

    Args:
      step: updates made.
      examples_per_step: the global batch size.
      losses: the total under "loss", and each task's under its name.
      learning_rates: by group, as the update used them.
      log_variances: by task, as the update left them; empty unless they are learned.
      row_lengths: by table of `tables_to_log`.

    Returns:
      What was logged: `step`, `loss`, `loss/TASK`, `log_variance/TASK` of those there are and
      `examples_per_second`.
    """
    now = time.monotonic()
    seconds = max(now - self._logged_at, 1e-9)
    examples_per_second = (step - self._logged_step) * examples_per_step / seconds
    self._logged_step, self._logged_at = step, now
    scalars = {("loss" if name == "loss" else f"loss/{name}"): v for name, v in losses.items()}
    scalars.update({f"log_variance/{task}": value for task, value in log_variances.items()})
    scalars["examples_per_second"] = examples_per_second
    with self._writer.as_default(step):
      for name, value in scalars.items():
        tf.summary.scalar(name, value)
      for group, rate in learning_rates.items():
        tf.summary.scalar(f"learning_rate/{group}", rate)
      for table, length in row_lengths.items():
        tf.summary.scalar(f"row_length/{table}", length)
    self._bar.set_postfix(loss=f"{losses['loss']:.4f}", examples_s=f"{examples_per_second:.0f}")
    self._append(step=step, **{name: f"{value:.6g}" for name, value in scalars.items()})
    if self._bar.disable:
      print(
        f"step {step}: loss {losses['loss']:.5f}, {examples_per_second:.0f} examples/s", flush=True
      )
    return {"step": step, **scalars}

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
    with open(self._path, "a", encoding="utf-8") as file:
      file.write(line + "\n")

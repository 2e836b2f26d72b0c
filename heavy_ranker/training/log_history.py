"""What the log and the scalars hold of steps that a resumed run makes again is taken out of them.

A run that ends between two checkpoints has logged steps that its resumption goes through once more,
with the same result: without this they would be there twice.
"""

import datetime
import json
import os
import re
import uuid
from collections.abc import Callable
from typing import Optional

import tensorflow as tf

from heavy_ranker.training.run_log import log_path, tensorboard_folder
from tfrecords import files
from tfrecords.errors import StorageError, reason

_DISCARDED = "discarded.log"
_UNFINISHED = ".unfinished-"
_WAY_OUT = "Free space there, or make it writable, and run the same command again"
# A logged step, or an event and the step it happened at; see RunLog.
_STEP = re.compile(r"\S+ (?:event=\w+ at|step)=(\d+) ")


def cut_back(save_dir: str, step: int, checkpoint: Optional[str]) -> None:
  """Brings train.log and the scalars to where they were when a checkpoint was written.

  Lines of later steps move to SAVE_DIR/discarded.log, scalars of later steps are dropped, and the
  line about the checkpoint is added if its writer ended before it came to that.

  Args:
    save_dir: the run's folder, which nobody else trains in.
    step: the updates behind the checkpoint; 0 without one.
    checkpoint: the checkpoint the run resumes from, if any.

  Raises:
    StorageError: a file cannot be read or written.
  """
  try:
    _cut_log(save_dir, step, checkpoint)
    keep_scalars(os.path.join(tensorboard_folder(save_dir), "train"), lambda at: at <= step)
  except (tf.errors.OpError, OSError) as error:
    raise StorageError(
      f"{save_dir}: the log cannot be cut back to step {step}: {reason(error)}. {_WAY_OUT}"
    ) from None


def has_event(save_dir: str, kind: str, step: int) -> bool:
  """Tells whether train.log has a line about an event, see RunLog, at a step."""
  path = log_path(save_dir)
  return tf.io.gfile.exists(path) and f" event={kind} at={step} " in _read(path)


def keep_scalars(folder: str, is_kept: Callable[[int], bool]) -> None:
  """Rewrites the event files of a TensorBoard run without some steps; each appears whole.

  What follows a damaged place, such as the end of a file whose writer was killed, is dropped.

  Args:
    folder: the folder of the event files, which nobody writes to now.
    is_kept: tells by step.

  Raises:
    tf.errors.OpError: a file cannot be read or written.
  """
  for name in tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []:
    path = os.path.join(folder, name)
    if name.startswith(_UNFINISHED):
      tf.io.gfile.remove(path)
    elif ".tfevents." in name:
      _keep(path, is_kept)


def _keep(path: str, is_kept: Callable[[int], bool]) -> None:
  records, is_whole = _records(path)
  kept = [record for record in records if is_kept(_event_step(record))]
  if is_whole and len(kept) == len(records):
    return
  folder = os.path.dirname(path)
  # Unlike the names of `tfrecords.files`, no name that TensorBoard takes for one of its own.
  unfinished = os.path.join(folder, f"{_UNFINISHED}{uuid.uuid4().hex}")
  with tf.io.TFRecordWriter(unfinished) as writer:
    for record in kept:
      writer.write(record)
  tf.io.gfile.rename(unfinished, path, overwrite=True)


def _records(path: str) -> tuple[list[bytes], bool]:
  records = []
  try:
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
      records.append(record)
  except tf.errors.DataLossError:
    return records, False
  return records, True


def _event_step(record: bytes) -> int:
  return tf.compat.v1.Event.FromString(record).step


def _cut_log(save_dir: str, step: int, checkpoint: Optional[str]) -> None:
  path = log_path(save_dir)
  lines = _read(path).splitlines(keepends=True) if tf.io.gfile.exists(path) else []
  # A line without its end is what a machine left that went down.
  kept, discarded = [], [line for line in lines[-1:] if not line.endswith("\n")]
  at = 0
  for line in lines[: len(lines) - len(discarded)]:
    found = _STEP.match(line)
    at = int(found[1]) if found else at
    (kept if at <= step else discarded).append(line)
  if checkpoint is not None and not any(_tells_of_checkpoint(line, step) for line in kept):
    stamp = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    kept.append(f"{stamp} event=checkpoint at={step} text={json.dumps(checkpoint)}\n")
  if kept == lines:
    return
  if discarded:
    earlier = os.path.join(save_dir, _DISCARDED)
    before = _read(earlier) if tf.io.gfile.exists(earlier) else ""
    cut_out = "".join(line.rstrip("\n") + "\n" for line in discarded)
    files.write(earlier, before + cut_out, _WAY_OUT)
  files.write(path, "".join(kept), _WAY_OUT)


def _tells_of_checkpoint(line: str, step: int) -> bool:
  if " event=checkpoint " not in line:
    return False
  # Lines of earlier versions name the path alone.
  return f" at={step} " in line or line.rstrip().endswith(f'-{step}"')


def _read(path: str) -> str:
  with tf.io.gfile.GFile(path, "rb") as file:
    return file.read().decode("utf-8", "replace")

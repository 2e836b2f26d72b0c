"""Saves and restores a training run: weights, optimizer, step and position in the data."""

import hashlib
import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.checkpoints import (
  CHECKPOINT_NAME,
  VARIABLE_SUFFIX,
  checkpoint_folder,
  checkpoints_of,
  damaged_checkpoints,
  reading,
  require_same_architecture,
  step_of,
  stored_shapes,
  weights_by_name,
)
from heavy_ranker.training import checkpoint_files
from tfrecords.config.data import DataConfig
from tfrecords.errors import CheckpointError, StorageError, reason
from tfrecords.shards import Shard

# Beside the weights, so that measuring, exporting and warm starts do not ask for them.
_LOG_VARIANCES = "task_log_variances"
_LOSS_SCALE = "loss_scale"
# What the iterator yields: a position cannot be restored into one that yields something else.
_ELEMENTS = "features, labels, weights, places"
_DATA_FINGERPRINT = f"data_fingerprint{VARIABLE_SUFFIX}"


class Saved(NamedTuple):
  """A checkpoint that has been written.

  Attributes:
    path: the checkpoint.
    size: bytes of its files.
    seconds: what writing and checking it took, during which training stood still.
  """

  path: str
  size: int
  seconds: float


def data_fingerprint(config: DataConfig, shards: Sequence[Shard]) -> str:
  """Returns a digest of everything that decides which batch comes when."""
  settings = config.model_dump_json(exclude={"checks"})
  content = [_ELEMENTS, settings, *(shard.path for shard in shards)]
  return hashlib.sha256("\n".join(content).encode()).hexdigest()


class CheckpointManager:
  """Saves and restores a training run; a checkpoint is there whole or not at all.

  One process at a time may have one for a folder (see `run_lock`): the first thing it does is to
  remove what an interrupted save left there.

  Training waits while a checkpoint is written. Weights, moments, shuffle buffers and position have
  to be of the same moment, and TensorFlow's public API takes the data's position only as a part of
  a checkpoint that it writes at once.

  Args:
    save_dir: the run's folder.
    ranker: the model.
    optimizer: its optimizer.
    step: the number of updates made, an int64 variable.
    iterator: the training data's iterator; None when its position cannot be saved.
    fingerprint: of the training data; a position is only restored into the same data.
    max_to_keep: how many checkpoints stay; None keeps all.
    log_variances: by task, those a TaskLossReduction learns; none unless it does.
    loss_scale: the state of a LossScale by name, if there is one. A checkpoint without it leaves it
      as it is, so that float32 and float16 can take over from each other.
  """

  def __init__(
    self,
    save_dir: str,
    ranker: keras.Model,
    optimizer: keras.optimizers.legacy.Optimizer,
    step: tf.Variable,
    iterator: Optional[tf.data.Iterator],
    fingerprint: str,
    max_to_keep: Optional[int],
    log_variances: Optional[Mapping[str, tf.Variable]] = None,
    loss_scale: Optional[Mapping[str, tf.Variable]] = None,
  ):
    self._ranker, self._step, self._fingerprint = ranker, step, fingerprint
    self._without_data = {
      "weights": weights_by_name(ranker),
      "optimizer": optimizer,
      "step": step,
      "data_fingerprint": tf.Variable(fingerprint, trainable=False),
    }
    self._log_variances = dict(log_variances or {})
    if self._log_variances:
      self._without_data[_LOG_VARIANCES] = self._log_variances
    self._save_dir, self._max_to_keep = save_dir, max_to_keep
    self._loss_scale = {_LOSS_SCALE: dict(loss_scale)} if loss_scale else {}
    self._position = {"data_position": iterator} if iterator is not None else {}
    self._folder = checkpoint_folder(save_dir)
    self._damaged: list[str] = []
    checkpoint_files.remove_unfinished(self._folder)
    # Without a count of saves, which would tell a run that was interrupted from one that was not.
    self._checkpoint = tf.train.Checkpoint(
      **self._without_data, **self._loss_scale, **self._position
    )

  def restore(self, checkpoint: str) -> bool:
    """Restores everything; newer checkpoints, which are damaged, go once the next one is written.

    Returns:
      Whether the position in the data was restored too: only into the same files, read in the
      same way.

    Raises:
      CheckpointError: damaged, of another architecture, or of a training that learned the scales
        of the losses where this one does not, or the other way round.
    """
    require_same_architecture(self._ranker, checkpoint)
    self._require_same_loss(checkpoint)
    with reading(checkpoint):
      stored = tf.train.load_checkpoint(checkpoint).get_tensor(_DATA_FINGERPRINT).decode()
      same_data = stored == self._fingerprint
      position = self._position if same_data else {}
      extra = self._loss_scale if stored_shapes(checkpoint, _LOSS_SCALE) else {}
      status = tf.train.Checkpoint(**self._without_data, **extra, **position).read(checkpoint)
      status.expect_partial().assert_existing_objects_matched()
    self._without_data["data_fingerprint"].assign(self._fingerprint)
    self._damaged = damaged_checkpoints(self._save_dir, after=checkpoint)
    return bool(position)

  def _require_same_loss(self, checkpoint: str) -> None:
    with reading(checkpoint):
      stored = stored_shapes(checkpoint, _LOG_VARIANCES)
    if stored.keys() == self._log_variances.keys():
      return
    holds, wants = ("learned", "none") if stored else ("no", "learned ones")
    raise CheckpointError(
      f"{checkpoint}: model.task_loss_reduction: the checkpoint holds {holds} log variances of the "
      f"tasks, the configuration wants {wants} (uncertainty learns them, mean and sum do not). Use "
      "the configuration it was trained with, --fresh, or another training.save_dir with "
      "training.initial_checkpoint_dir, which takes the weights"
    )

  def save(self, kept_steps: Collection[int] = ()) -> Saved:
    """Writes a checkpoint of the current step, makes sure of it, and then deletes old ones.

    Args:
      kept_steps: the steps of checkpoints that stay beside the newest `max_to_keep`.

    Raises:
      StorageError: it cannot be written (a full disk, say), or is not there as it was written; the
        ones before it are untouched.
    """
    started = time.monotonic()
    step = int(self._step.numpy())
    path = os.path.join(self._folder, f"{CHECKPOINT_NAME}-{step}")
    try:
      tf.io.gfile.makedirs(self._folder)
      self._checkpoint.write(checkpoint_files.unfinished_prefix(path))
      size = checkpoint_files.publish(path)
      self._delete_old(path, kept_steps)
    except (tf.errors.OpError, OSError, ValueError, IndexError) as error:
      raise self._not_written(step, error) from None
    return Saved(path, size, time.monotonic() - started)

  def _delete_old(self, saved: str, kept_steps: Collection[int]) -> None:
    for path in self._damaged:
      if path != saved:
        checkpoint_files.remove(path)
    self._damaged = []
    kept = checkpoints_of(self._save_dir)
    if self._max_to_keep is not None:
      old = [path for path in kept[: -self._max_to_keep] if step_of(path) not in kept_steps]
      for path in old:
        checkpoint_files.remove(path)
      kept = [path for path in kept if path not in old]
    checkpoint_files.write_state(self._folder, kept)

  def _not_written(self, step: int, error: Exception) -> StorageError:
    try:
      checkpoint_files.remove_unfinished(self._folder)
    except tf.errors.OpError:
      pass  # The next process that trains here does it.
    last = checkpoints_of(self._save_dir)
    return StorageError(
      f"{self._folder}: the checkpoint of step {step} cannot be written: {reason(error)}. Free "
      "space there and run the same command again: it resumes "
      + (f"from {last[-1]}" if last else "from the start")
    )

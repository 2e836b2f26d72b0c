"""Saves and restores a training run: weights, optimizer, step and position in the data."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.checkpoints import (
  CHECKPOINT_NAME,
  VARIABLE_SUFFIX,
  checkpoint_folder,
  latest_checkpoint,
  reading,
  require_same_architecture,
  stored_shapes,
  weights_by_name,
)
from tfrecords.config.data import DataConfig
from tfrecords.errors import CheckpointError, StorageError, reason
from tfrecords.shards import Shard

# Beside the weights, so that measuring, exporting and warm starts do not ask for them.
_LOG_VARIANCES = "task_log_variances"
_DATA_FINGERPRINT = f"data_fingerprint{VARIABLE_SUFFIX}"


def data_fingerprint(config: DataConfig, shards: Sequence[Shard]) -> str:
  """Returns a digest of everything that decides which batch comes when."""
  content = [config.model_dump_json(exclude={"checks"}), *(shard.path for shard in shards)]
  return hashlib.sha256("\n".join(content).encode()).hexdigest()


class CheckpointManager:
  """Saves and restores a training run; a checkpoint is there whole or not at all.

  Args:
    save_dir: the run's folder.
    ranker: the model.
    optimizer: its optimizer.
    step: the number of updates made, an int64 variable.
    iterator: the training data's iterator; None when its position cannot be saved.
    fingerprint: of the training data; a position is only restored into the same data.
    max_to_keep: how many checkpoints stay; None keeps all.
    log_variances: by task, those a TaskLossReduction learns; none unless it does.
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
    self._save_dir = save_dir
    self._position = {"data_position": iterator} if iterator is not None else {}
    self._folder = checkpoint_folder(save_dir)
    self._remove_unfinished()
    self._manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(**self._without_data, **self._position),
      self._folder,
      max_to_keep=max_to_keep,
      checkpoint_name=CHECKPOINT_NAME,
    )

  def restore(self, checkpoint: str) -> bool:
    """Restores everything.

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
      status = tf.train.Checkpoint(**self._without_data, **position).restore(checkpoint)
      status.expect_partial().assert_existing_objects_matched()
    self._without_data["data_fingerprint"].assign(self._fingerprint)
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

  def save(self) -> str:
    """Writes a checkpoint of the current step and returns its path.

    Raises:
      StorageError: it cannot be written (a full disk, say); the ones before it are untouched.
    """
    try:
      return self._manager.save(checkpoint_number=int(self._step.numpy()))
    except (tf.errors.OpError, OSError) as error:
      self._remove_unfinished()
      last = latest_checkpoint(self._save_dir)
      raise StorageError(
        f"{self._folder}: the checkpoint of step {int(self._step.numpy())} cannot be written: "
        f"{reason(error)}. Free space there and run the same command again: it resumes "
        + (f"from {last}" if last else "from the start")
      ) from None

  def _remove_unfinished(self) -> None:
    """Deletes what an interrupted save left: temporary parts, and data without an index."""
    if not tf.io.gfile.exists(self._folder):
      return
    names = tf.io.gfile.listdir(self._folder)
    finished = {name[: -len(".index")] for name in names if name.endswith(".index")}
    for name in names:
      prefix = name.split(".")[0].rstrip("/")
      path = os.path.join(self._folder, name)
      if prefix.endswith("_temp"):
        tf.io.gfile.rmtree(path)
      elif prefix.startswith(f"{CHECKPOINT_NAME}-") and prefix not in finished:
        tf.io.gfile.remove(path)

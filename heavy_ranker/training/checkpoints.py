"""Checkpoints: weights by name, optimizer, step and the position in the data, all or nothing."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

import tensorflow as tf
import tf_keras as keras

from tfrecords.config.data import DataConfig
from tfrecords.errors import CheckpointError, StorageError
from tfrecords.shards import Shard

_FOLDER = "checkpoints"
_PREFIX = "weights/"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_DATA_FINGERPRINT = f"data_fingerprint{_SUFFIX}"
_MOST_DIFFERENCES_SHOWN = 20


def checkpoint_folder(save_dir: str) -> str:
  """Returns where a run's checkpoints lie."""
  return os.path.join(save_dir, _FOLDER)


def latest_checkpoint(save_dir: str) -> Optional[str]:
  """Returns a run's newest checkpoint, or None."""
  return tf.train.latest_checkpoint(checkpoint_folder(save_dir))


def require_checkpoint(save_dir: str, checkpoint: Optional[str] = None) -> str:
  """Returns the given checkpoint, else a run's newest.

  Raises:
    CheckpointError: there is none.
  """
  path = checkpoint or latest_checkpoint(save_dir)
  if path is None:
    raise CheckpointError(
      f"{checkpoint_folder(save_dir)}: no checkpoint found. Train first with //heavy_ranker:train, "
      "or name another run with --set training.save_dir=FOLDER"
    )
  if not tf.io.gfile.exists(f"{path}.index"):
    raise CheckpointError(f"{path}: no checkpoint: {path}.index does not exist")
  return path


def step_of(checkpoint: str) -> int:
  """Returns the number of updates behind a checkpoint."""
  return int(checkpoint.rsplit("-", 1)[-1])


def weights_by_name(ranker: keras.Model) -> dict[str, tf.Variable]:
  """Returns every variable of the ranker by its readable name, the key in the checkpoint."""
  weights = {variable.name.split(":")[0]: variable for variable in ranker.variables}
  if len(weights) != len(ranker.variables):
    raise ValueError("two variables of the model share one name")
  return weights


def restore_weights(ranker: keras.Model, checkpoint: str) -> None:
  """Assigns a checkpoint's weights to a ranker.

  Raises:
    CheckpointError: the checkpoint is of another architecture; says what differs.
  """
  require_same_architecture(ranker, checkpoint)
  tracked = tf.train.Checkpoint(weights=weights_by_name(ranker))
  with _reading(checkpoint):
    tracked.restore(checkpoint).expect_partial().assert_existing_objects_matched()


def require_same_architecture(ranker: keras.Model, checkpoint: str) -> None:
  """Compares names and shapes of a checkpoint's weights with a ranker's.

  Raises:
    CheckpointError: lists what only one of them has, and what differs in shape.
  """
  with _reading(checkpoint):
    stored = {
      _unescape(name[len(_PREFIX) : -len(_SUFFIX)]): tuple(shape)
      for name, shape in tf.train.list_variables(checkpoint)
      if name.startswith(_PREFIX) and "/.OPTIMIZER_SLOT/" not in name
    }
  wanted = {name: tuple(weight.shape) for name, weight in weights_by_name(ranker).items()}
  differences = [
    f"only in the checkpoint: {name} {stored[name]}" for name in stored.keys() - wanted
  ]
  differences += [f"only in the model: {name} {wanted[name]}" for name in wanted.keys() - stored]
  differences += [
    f"{name}: checkpoint {stored[name]}, model {wanted[name]}"
    for name in stored.keys() & wanted.keys()
    if stored[name] != wanted[name]
  ]
  if not differences:
    return
  shown = sorted(differences)[:_MOST_DIFFERENCES_SHOWN]
  more = len(differences) - len(shown)
  raise CheckpointError(
    f"{checkpoint}: the checkpoint is of another architecture than the configuration:\n  "
    + "\n  ".join([*shown, *([f"... and {more} more"] if more else [])])
    + "\nUse the configuration it was trained with, another training.save_dir, or --fresh"
  )


def _unescape(key: str) -> str:
  # TensorFlow writes "/" inside a key as ".S" and a dot before it as "..".
  return key.replace(".S", "/").replace("..", ".")


def data_fingerprint(config: DataConfig, shards: Sequence[Shard]) -> str:
  """Returns a digest of everything that decides which batch comes when."""
  content = [config.model_dump_json(), *(shard.path for shard in shards)]
  return hashlib.sha256("\n".join(content).encode()).hexdigest()


class Checkpoints:
  """Saves and restores a training run.

  Args:
    save_dir: the run's folder.
    ranker: the model.
    optimizer: its optimizer.
    step: the number of updates made, an int64 variable.
    iterator: the training data's iterator.
    fingerprint: of the training data; a position is only restored into the same data.
    max_to_keep: how many checkpoints stay; None keeps all.
  """

  def __init__(
    self,
    save_dir: str,
    ranker: keras.Model,
    optimizer: keras.optimizers.legacy.Optimizer,
    step: tf.Variable,
    iterator: tf.data.Iterator,
    fingerprint: str,
    max_to_keep: Optional[int],
  ):
    self._ranker, self._step, self._fingerprint = ranker, step, fingerprint
    self._without_data = {
      "weights": weights_by_name(ranker),
      "optimizer": optimizer,
      "step": step,
      "data_fingerprint": tf.Variable(fingerprint, trainable=False),
    }
    self._iterator = iterator
    self._folder = checkpoint_folder(save_dir)
    self._remove_unfinished()
    self._manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(**self._without_data, data_position=iterator),
      self._folder,
      max_to_keep=max_to_keep,
      checkpoint_name="step",
    )

  def restore(self, checkpoint: str) -> bool:
    """Restores everything.

    Returns:
      Whether the position in the data was restored too: only into the same files, read in the
      same way.

    Raises:
      CheckpointError: damaged, or of another architecture.
    """
    require_same_architecture(self._ranker, checkpoint)
    with _reading(checkpoint):
      stored = tf.train.load_checkpoint(checkpoint).get_tensor(_DATA_FINGERPRINT).decode()
      same_data = stored == self._fingerprint
      position = {"data_position": self._iterator} if same_data else {}
      status = tf.train.Checkpoint(**self._without_data, **position).restore(checkpoint)
      status.expect_partial().assert_existing_objects_matched()
    self._without_data["data_fingerprint"].assign(self._fingerprint)
    return same_data

  def save(self) -> str:
    """Writes a checkpoint of the current step and returns its path.

    Raises:
      StorageError: it cannot be written (a full disk, say); the ones before it are untouched.
    """
    try:
      return self._manager.save(checkpoint_number=int(self._step.numpy()))
    except (tf.errors.OpError, OSError) as error:
      self._remove_unfinished()
      detail = getattr(error, "message", None) or str(error)
      last = self._manager.latest_checkpoint
      raise StorageError(
        f"{self._folder}: the checkpoint of step {int(self._step.numpy())} cannot be written: "
        f"{detail.splitlines()[0]}. Free space there and run the same command again: it resumes "
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
      elif prefix.startswith("step-") and prefix not in finished:
        tf.io.gfile.remove(path)


@contextmanager
def _reading(checkpoint: str) -> Iterator[None]:
  try:
    yield
  except (tf.errors.OpError, ValueError, AssertionError) as error:
    detail = (getattr(error, "message", None) or str(error)).splitlines()[0]
    raise CheckpointError(
      f"{checkpoint}: the checkpoint cannot be restored: {detail}. Remove its files (the one "
      "before is then used), or start over with --fresh"
    ) from None

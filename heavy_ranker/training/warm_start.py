"""A new run that begins with the weights of an earlier one, as far as they fit."""

import os

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.checkpoint_manifest import MANIFEST_SUFFIX
from heavy_ranker.checkpoints import (
  latest_checkpoint,
  reading,
  require_checkpoint,
  require_intact,
  stored_shapes,
  weights_by_name,
)
from tfrecords import paths
from tfrecords.errors import CheckpointError

_KEY = "training.initial_checkpoint_dir"


def warm_start(ranker: keras.Model, initial_checkpoint_dir: str) -> str:
  """Takes every weight of a checkpoint that has the name and shape of one of the ranker's.

  The rest of the ranker keeps its initial weights: the checkpoint may be of a smaller model, or of
  one with other tasks. Optimizer, step and position in the data start anew.

  Args:
    ranker: the model, changed in place.
    initial_checkpoint_dir: a run's `save_dir`, its folder of checkpoints, or one checkpoint.

  Returns:
    What was taken and what was not, for people.

  Raises:
    CheckpointError: there is no checkpoint, it is damaged, or nothing in it fits.
  """
  checkpoint = _find(paths.resolve(initial_checkpoint_dir, _KEY))
  with reading(checkpoint):
    stored = stored_shapes(checkpoint)
  wanted = weights_by_name(ranker)
  taken = {
    name: weight for name, weight in wanted.items() if stored.get(name) == tuple(weight.shape)
  }
  if not taken:
    raise CheckpointError(
      f"{_KEY}: {checkpoint}: none of its {len(stored)} weights has the name and shape of one of "
      f"the model's {len(wanted)}; leave the key out to start from nothing"
    )
  with reading(checkpoint):
    tf.train.Checkpoint(weights=taken).read(checkpoint).expect_partial()
  left_out = [name for name in wanted if name not in taken]
  rest = f"; initial weights for {_describe(left_out)}" if left_out else ""
  return f"{len(taken)} of {len(wanted)} weights from {checkpoint}{rest}"


def _find(path: str) -> str:
  if tf.io.gfile.exists(f"{path}.index") or tf.io.gfile.exists(f"{path}{MANIFEST_SUFFIX}"):
    require_intact(path)
    return path
  if os.path.basename(path.rstrip("/")) == "checkpoints":
    path = os.path.dirname(path.rstrip("/"))
  if latest_checkpoint(path) is None:
    raise CheckpointError(
      f"{_KEY}: no checkpoint found in {path}, allowed: a run's save_dir, or one checkpoint"
    )
  return require_checkpoint(path)


def _describe(names: list[str], most: int = 8) -> str:
  more = len(names) - most
  return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")

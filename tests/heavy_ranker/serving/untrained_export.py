"""An export of the small run's model with users in its records, at random weights, untrained."""

from pathlib import Path

import tensorflow as tf

from heavy_ranker import build_model, export
from heavy_ranker.checkpoints import checkpoint_folder, weights_by_name
from heavy_ranker.config import HeavyRankerConfig


def write_checkpoint(config: HeavyRankerConfig, step: int = 0) -> str:
  """Writes the weights a model begins with where a run would, and returns the path."""
  path = f"{checkpoint_folder(config.training.save_dir)}/step-{step}"
  tracked = tf.train.Checkpoint(weights=weights_by_name(build_model(config)))
  tracked.save_counter.assign(step)  # Asking for it makes it part of the checkpoint.
  return tracked.write(path)


def write_export(config: HeavyRankerConfig, folder: Path, version: int = 1) -> str:
  """Exports them and returns the version's folder."""
  return export(config, write_checkpoint(config), str(folder), version)

"""An export at the weights a model begins with: as fast as a trained one, and there at once."""

import tensorflow as tf

from heavy_ranker.checkpoints import checkpoint_folder, weights_by_name
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.model import build_model
from heavy_ranker.serving.exporter import export
from tfrecords import paths


def write_untrained_export(config: HeavyRankerConfig, export_dir: str, version: int = 1) -> str:
  """Exports a model that nobody has trained; its checkpoint is that of step 0.

  Args:
    config: the whole configuration; the checkpoint is written to its `training.save_dir`.
    export_dir: folder of the versions.
    version: the version's number.

  Returns:
    The version's folder.
  """
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  checkpoint = f"{checkpoint_folder(save_dir)}/step-0"
  tracked = tf.train.Checkpoint(weights=weights_by_name(build_model(config)))
  tracked.save_counter.assign(0)  # Asking for it makes it part of the checkpoint.
  return export(config, tracked.write(checkpoint), export_dir, version)

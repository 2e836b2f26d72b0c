"""Which checkpoint of a run to measure, export and so on, unless one is named."""

import os
from typing import Optional

import tensorflow as tf

from heavy_ranker.checkpoint_manifest import damage
from heavy_ranker.checkpoints import (
  CHECKPOINT_NAME,
  checkpoint_folder,
  require_checkpoint,
)
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.early_stopping_record import (
  Evaluation,
  plain_objective,
  read_record,
  record_path,
)
from heavy_ranker.serving.export_folder import hash_of_files
from tfrecords import paths
from tfrecords.errors import CheckpointError


def chosen_checkpoint(config: HeavyRankerConfig, checkpoint: Optional[str] = None) -> str:
  """Returns the given checkpoint, else the best with `training.early_stopping`, else the newest.

  Says so if it is the best one.

  Args:
    config: the whole configuration.
    checkpoint: the checkpoint somebody asks for.

  Raises:
    CheckpointError: there is none, it is damaged, or another criterion than the configuration's
      was what training chose the best one by.
  """
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  section = config.training.early_stopping
  if checkpoint is not None or section is None:
    return require_checkpoint(save_dir, checkpoint)
  record = read_record(save_dir)
  if record is None or not record.evaluations:
    return require_checkpoint(save_dir)
  path, metric = record_path(save_dir), record.objective.metric
  if record.objective != plain_objective(section):
    raise CheckpointError(
      f"{path}: the best checkpoint was chosen by {metric} on {record.objective.partition}, not "
      "by what training.early_stopping says now. Train again, which measures anew, use the "
      "configuration it was trained with, or name one with --checkpoint=PATH"
    )
  best = next(each for each in record.evaluations if each.step == record.best_step)
  chosen, wrong = checkpoint_of(save_dir, best.step), what_is_wrong(save_dir, best)
  if wrong is not None:
    raise CheckpointError(
      f"{chosen}: the best checkpoint by {path} cannot be used: {wrong}. Put back its files, train "
      "again, which chooses among those there are, or name another one with --checkpoint=PATH"
    )
  print(
    f"using {chosen}, the best of {len(record.evaluations)} measured (training.early_stopping): "
    f"{metric} {best.value:.6g} on {record.objective.partition}",
    flush=True,
  )
  return chosen


def checkpoint_of(save_dir: str, step: int) -> str:
  """Returns the path that a run's checkpoint of a step has."""
  return os.path.join(checkpoint_folder(save_dir), f"{CHECKPOINT_NAME}-{step}")


def index_digest(checkpoint: str) -> str:
  """Returns what tells a checkpoint from another one of the same step."""
  return hash_of_files([f"{checkpoint}.index"])


def what_is_wrong(save_dir: str, evaluation: Evaluation) -> Optional[str]:
  """Returns why the checkpoint that was measured cannot be used; None if it can."""
  checkpoint = checkpoint_of(save_dir, evaluation.step)
  if not tf.io.gfile.exists(f"{checkpoint}.index"):
    return "it is not there"
  if index_digest(checkpoint) != evaluation.index:
    return "it is another one than was measured"
  return damage(checkpoint)

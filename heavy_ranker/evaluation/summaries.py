"""An evaluation's metrics as scalars for TensorBoard."""

import math
import os
from typing import Any

import tensorflow as tf

from heavy_ranker.training.log_history import keep_scalars
from heavy_ranker.training.run_log import tensorboard_folder


def write_summaries(result: dict[str, Any], save_dir: str) -> None:
  """Writes `METRIC/TASK`, `METRIC/STRATUM/TASK` and `ranking/METRIC`, a run a partition.

  What an earlier evaluation of this step wrote is replaced.

  Args:
    result: an evaluation's result, see `heavy_ranker.evaluation.results_file`.
    save_dir: the training run's folder.
  """
  for name, partition in result["partitions"].items():
    folder = os.path.join(tensorboard_folder(save_dir), f"evaluation_{name}")
    keep_scalars(folder, lambda step: step != result["step"])
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default(result["step"]):
      for tag, value in _scalars(partition).items():
        if math.isfinite(value):
          tf.summary.scalar(tag, value)
    writer.close()


def _scalars(partition: dict[str, Any]) -> dict[str, float]:
  scalars = {f"ranking/{name}": value for name, value in partition["ranking"].items()}
  for task, content in partition["tasks"].items():
    scalars.update({f"{name}/{task}": value for name, value in content["metrics"].items()})
  for stratum, content in partition["strata"].items():
    for task, measured in content["tasks"].items():
      values = measured["metrics"].items()
      scalars.update({f"{name}/{stratum}/{task}": value for name, value in values})
  return scalars

"""Which calibration belongs to a checkpoint that is evaluated or exported."""

from typing import Optional

from heavy_ranker.calibration.curves import FittedCalibration, calibration_path, read_calibration
from heavy_ranker.calibration.sampling import sampling_ratios
from heavy_ranker.checkpoints import step_of
from heavy_ranker.config import HeavyRankerConfig
from tfrecords import paths
from tfrecords.errors import CheckpointError


def applied_calibration(config: HeavyRankerConfig, checkpoint: str) -> Optional[FittedCalibration]:
  """Returns the calibration that lies beside a checkpoint, None without one.

  Args:
    config: the whole configuration; `calibration.apply: false` goes without.
    checkpoint: the checkpoint, of the run in `training.save_dir`.

  Raises:
    CheckpointError: it was fitted to other tasks, or to logits with another sampling correction.
  """
  if not config.calibration.apply:
    return None
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  path = calibration_path(save_dir, step_of(checkpoint))
  calibration = read_calibration(path)
  if calibration is None:
    return None
  tasks = list(config.model.tasks)
  wanted = dict(zip(tasks, sampling_ratios(config.train_data, tasks)))
  for what, found, allowed in (
    ("tasks", sorted(calibration.curves), sorted(tasks)),
    ("sampling ratios", dict(calibration.sampling_ratios), wanted),
  ):
    if found != allowed:
      raise CheckpointError(
        f"{path}: fitted to other {what} than the configuration's; found {found}, allowed: "
        f"{allowed}. Fit it again with //heavy_ranker:calibrate, or go without with "
        "--set calibration.apply=false"
      )
  return calibration

"""A fitted calibration: one curve a task, and the file that keeps them beside a checkpoint."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

import tensorflow as tf

from tfrecords import files
from tfrecords.errors import CheckpointError, reason

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class CalibrationCurve:
  """From a task's logit (sampling already undone) to its probability.

  Either sigmoid(slope * logit + intercept), or, where there are knots, the piecewise linear
  function through (logits, probabilities), constant beyond them.

  Attributes:
    method: how it was fitted: platt, temperature, isotonic or none.
    slope, intercept: of the linear map.
    logits, probabilities: the knots, both ascending; empty for a linear map.
    note: why the task was left as it is, for method none.
  """

  method: str
  slope: float = 1.0
  intercept: float = 0.0
  logits: tuple[float, ...] = ()
  probabilities: tuple[float, ...] = ()
  note: str = ""


IDENTITY = CalibrationCurve("none")


@dataclass(frozen=True)
class FittedCalibration:
  """What was fitted to one checkpoint.

  Attributes:
    curves: by task, one for each of the model's.
    sampling_ratios: by task, the correction the logits had when the curves were fitted; see
      `heavy_ranker.calibration.sampling`.
    partition: the partition of `validation_data` they were fitted to.
  """

  curves: Mapping[str, CalibrationCurve]
  sampling_ratios: Mapping[str, float]
  partition: str


def calibration_path(save_dir: str, step: int) -> str:
  """Returns where the calibration of a run's checkpoint lies."""
  return os.path.join(save_dir, "calibration", f"step-{step}.json")


def write_calibration(calibration: FittedCalibration, path: str) -> None:
  """Writes a calibration, whole or not at all.

  Args:
    calibration: what was fitted.
    path: see `calibration_path`.

  Raises:
    StorageError: it cannot be written.
  """
  content = {
    "format_version": _FORMAT_VERSION,
    "partition": calibration.partition,
    "sampling_ratios": dict(calibration.sampling_ratios),
    "tasks": {task: asdict(curve) for task, curve in calibration.curves.items()},
  }
  text = json.dumps(content, indent=2, allow_nan=False) + "\n"
  files.write(path, text, "Free space there, or make it writable", makes_folder=True)


def read_calibration(path: str) -> Optional[FittedCalibration]:
  """Returns the calibration in a file, or None where there is no such file.

  Raises:
    CheckpointError: it cannot be read, or is no calibration; names the task.
  """
  if not tf.io.gfile.exists(path):
    return None
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      content = json.loads(file.read())
    if content["format_version"] != _FORMAT_VERSION:
      raise ValueError(f"format_version is {content['format_version']}, not {_FORMAT_VERSION}")
    return FittedCalibration(
      {task: _curve(task, entry) for task, entry in content["tasks"].items()},
      {task: float(ratio) for task, ratio in content["sampling_ratios"].items()},
      str(content["partition"]),
    )
  except (tf.errors.OpError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise CheckpointError(
      f"{path}: no calibration can be read from it: {reason(error)}. Write it again with "
      "//heavy_ranker:calibrate, or delete it to go without"
    ) from None


def _curve(task: str, entry: Mapping[str, Any]) -> CalibrationCurve:
  curve = CalibrationCurve(
    **{**entry, "logits": tuple(entry["logits"]), "probabilities": tuple(entry["probabilities"])}
  )
  numbers = [curve.slope, curve.intercept, *curve.logits, *curve.probabilities]
  if not all(math.isfinite(number) for number in numbers):
    raise ValueError(f"{task}: found a number that is not finite")
  knots, values = curve.logits, curve.probabilities
  if len(knots) != len(values) or len(knots) == 1:
    raise ValueError(f"{task}: found {len(knots)} logits and {len(values)} probabilities")
  if any(after <= before for before, after in zip(knots, knots[1:])):
    raise ValueError(f"{task}: the knots' logits do not ascend")
  if any(after < before for before, after in zip(values, values[1:])):
    raise ValueError(f"{task}: the knots' probabilities fall")
  if any(not 0 <= value <= 1 for value in values):
    raise ValueError(f"{task}: found a probability outside 0 to 1")
  return curve

"""What an export was made of, so that a run that starts again exports the same only once."""

import hashlib
import json
import os
from typing import Optional

import tensorflow as tf

from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.serving.export_files import ORIGIN_FILE
from heavy_ranker.serving.export_folder import hash_of_files
from tfrecords.files import names_in

_SECTIONS = {
  "model": True,
  "score": True,
  "export": True,
  "train_data": {"seg_dense_schema", "preprocess", "tasks", "sampling_correction"},
}


def origin_of(config: HeavyRankerConfig, checkpoint: str) -> str:
  """Returns a hash of all an export depends on: weights, calibration, configuration, TensorFlow.

  Args:
    config: the whole configuration.
    checkpoint: the checkpoint's path, of which the index holds a checksum of every weight.

  Raises:
    StorageError, CheckpointError: the checkpoint or its calibration cannot be read.
  """
  described = [
    config.model_dump(mode="json", include=_SECTIONS),
    repr(applied_calibration(config, checkpoint)),
    hash_of_files([f"{checkpoint}.index"]),
    tf.__version__,
  ]
  return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def earlier_export(config: HeavyRankerConfig, checkpoint: str, base: str) -> Optional[str]:
  """Returns the newest version that was made of the same, or None.

  Args:
    config: the whole configuration.
    checkpoint: the checkpoint's path.
    base: the folder of the versions, absolute.

  Raises:
    StorageError, CheckpointError: the checkpoint or its calibration cannot be read.
  """
  origin = origin_of(config, checkpoint)
  versions = (name for name in names_in(base) if name.isdecimal())
  for version in sorted(versions, key=int, reverse=True):
    folder = os.path.join(base, version)
    if _read_fingerprint(os.path.join(folder, ORIGIN_FILE)) == origin:
      return folder
  return None


def _read_fingerprint(path: str) -> Optional[str]:
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      return json.loads(file.read())["fingerprint"]
  except (tf.errors.OpError, ValueError, KeyError, TypeError):
    return None  # Exports of earlier versions and of other programs do not say.

"""`not_finite/step-N-K`: the K-th batch that was left out on the way to update N.

`step-N-stopped` is the one that ended the run. Workers but the first add `-worker-I`.

The .json file says which records it was made of, which of them are suspects, the losses and the
gradient norms by group; the .npz file holds the batch as the model got it: `features/NAME`,
`labels/TASK`, `weights/TASK`, `places/file` and `places/position`, and no Python objects. The .json
file comes last: where it is, the .npz file is whole.
"""

import io
import json
import math
import os
import re
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.training.multi_task_ranker import PlacedBatch
from tfrecords import files

FORMAT_VERSION = 1
_FOLDER = "not_finite"
_WAY_OUT = "Free space there, or make it writable"
_NAME = re.compile(r"step-(\d+)-\d+\.json")


def evidence_folder(save_dir: str) -> str:
  """Returns where a run's evidence lies."""
  return os.path.join(save_dir, _FOLDER)


def evidence_name(step: int, number: Optional[int], worker: int = 0) -> str:
  """Returns the files' name without its end.

  Args:
    step: the update the batch was for.
    number: it is the number-th one that was left out, from 1; None if it ended the run.
    worker: whose part of the batch it is, where several train together.
  """
  name = f"step-{step}-{'stopped' if number is None else number}"
  return f"{name}-worker-{worker}" if worker else name


def count_evidence(save_dir: str, last_step: int) -> int:
  """Returns how many batches were left out on the way to an update, those for it included."""
  folder = evidence_folder(save_dir)
  if not tf.io.gfile.exists(folder):
    return 0
  names = map(_NAME.fullmatch, tf.io.gfile.listdir(folder))
  return sum(name is not None and int(name.group(1)) <= last_step for name in names)


def write_evidence(save_dir: str, name: str, content: dict[str, Any], batch: PlacedBatch) -> str:
  """Writes both files, each in one step; returns the path of the .json file.

  Args:
    save_dir: the run's folder.
    name: see `evidence_name`; evidence of that name is replaced.
    content: plain data; numbers that are not finite become "nan", "inf" or "-inf".
    batch: features, labels, weights and places.

  Raises:
    StorageError: they cannot be written.
  """
  kinds = zip(("features", "labels", "weights", "places"), batch)
  arrays = {
    f"{kind}/{name}": _plain(values) for kind, part in kinds for name, values in part.items()
  }
  packed = io.BytesIO()
  np.savez(packed, **arrays)
  text = json.dumps(_in_words({"format_version": FORMAT_VERSION, **content}), indent=1)
  path = os.path.join(evidence_folder(save_dir), name)
  for ending, content in (("npz", packed.getvalue()), ("json", f"{text}\n")):
    files.write(f"{path}.{ending}", content, _WAY_OUT, makes_folder=True)
  return f"{path}.json"


def _plain(values: tf.Tensor) -> np.ndarray:
  array = values.numpy()
  return array.astype("S") if array.dtype == object else array


def _in_words(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _in_words(each) for key, each in value.items()}
  if isinstance(value, list):
    return [_in_words(each) for each in value]
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)
  return value

"""The folder of an earlier training run, set aside."""

from typing import Optional

import tensorflow as tf

from heavy_ranker.training.run_lock import LOCK_FILE


def set_aside(save_dir: str) -> Optional[str]:
  """Moves an earlier run out of the way.

  Args:
    save_dir: the folder, absolute.

  Returns:
    Where the earlier run lies now, or None when there was none.
  """
  if not tf.io.gfile.exists(save_dir) or set(tf.io.gfile.listdir(save_dir)) <= {LOCK_FILE}:
    return None
  number = 1
  while tf.io.gfile.exists(f"{save_dir}.{number}"):
    number += 1
  target = f"{save_dir}.{number}"
  tf.io.gfile.rename(save_dir, target)
  return target

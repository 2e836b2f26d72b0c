"""Where each worker is in its data: a file a worker beside each checkpoint, used as a set.

The chief writes the checkpoint, but only a worker itself can write down what its reader has read
and shuffled. Positions are of use only all together: those of one step, of as many workers, in the
same data.
"""

import os
import re
from typing import Optional

import tensorflow as tf

from heavy_ranker.checkpoints import checkpoints_of, step_of
from heavy_ranker.training.cluster.cluster import Cluster
from tfrecords.errors import StorageError, reason

_FOLDER = "data_positions"
_FILE = re.compile(r"step-(?P<step>\d+)\..*")
_FINGERPRINT = "fingerprint/.ATTRIBUTES/VARIABLE_VALUE"


class DataPositions:
  """Saves and restores the positions of all workers' readers.

  Args:
    save_dir: the run's folder, which all workers share.
    iterator: this worker's.
    fingerprint: of the data of all workers.
    cluster: the workers.
  """

  def __init__(self, save_dir: str, iterator: tf.data.Iterator, fingerprint: str, cluster: Cluster):
    self._save_dir, self._folder = save_dir, os.path.join(save_dir, _FOLDER)
    self._cluster, self._fingerprint = cluster, fingerprint
    self._content = tf.train.Checkpoint(
      data_position=iterator, fingerprint=tf.Variable(fingerprint, trainable=False)
    )

  def save(self, step: int) -> None:
    """Writes this worker's position, and returns when all workers have written theirs.

    Raises:
      StorageError: it cannot be written.
      ClusterError: another worker is lost.
    """
    try:
      tf.io.gfile.makedirs(self._folder)
      self._content.write(self._path(step, self._cluster.index))
    except (tf.errors.OpError, OSError) as error:
      raise StorageError(
        f"{self._folder}: the position in the data after step {step} cannot be written: "
        f"{reason(error)}. Free space there and start all workers again: they resume from the last "
        "checkpoint"
      ) from None
    self._cluster.gather(f"positions of step {step}")

  def remove_unused(self) -> None:
    """Deletes the positions of steps whose checkpoint is gone; for the chief."""
    kept = {step_of(checkpoint) for checkpoint in checkpoints_of(self._save_dir)}
    if not tf.io.gfile.isdir(self._folder):
      return
    for name in tf.io.gfile.listdir(self._folder):
      match = _FILE.fullmatch(name)
      if match and int(match["step"]) not in kept:
        tf.io.gfile.remove(os.path.join(self._folder, name))

  def restore(self, step: int) -> Optional[str]:
    """Restores this worker's position if all workers can restore theirs.

    Returns:
      None, or why reading starts from the data's beginning on all workers.

    Raises:
      ClusterError: another worker is lost.
    """
    problems = self._cluster.gather("positions found", self._problem(step))
    problem = next((found for found in problems if found is not None), None)
    if problem is not None:
      return problem
    self._content.read(self._path(step, self._cluster.index)).assert_consumed()
    return None

  def _problem(self, step: int) -> Optional[str]:
    """Returns why the positions of a step cannot be used, or None."""
    present = self._present(step)
    count = self._cluster.count
    wanted = {self._name(step, index) for index in range(count)}
    if not present:
      return "the checkpoint was written without the workers' positions in their data"
    if present != wanted:
      found = sorted(present - wanted) or sorted(present)
      return f"the positions of step {step} are not those of {count} workers: {', '.join(found)}"
    try:
      reader = tf.train.load_checkpoint(self._path(step, self._cluster.index))
      stored = reader.get_tensor(_FINGERPRINT).decode()
    except (tf.errors.OpError, ValueError, IndexError) as error:
      return f"a position of step {step} cannot be read: {reason(error)}"
    return (
      None if stored == self._fingerprint else "the training data or how it is read has changed"
    )

  def _present(self, step: int) -> set[str]:
    names = tf.io.gfile.listdir(self._folder) if tf.io.gfile.isdir(self._folder) else []
    ending = ".index"
    return {
      name[: -len(ending)]
      for name in names
      if name.startswith(f"step-{step}.") and name.endswith(ending)
    }

  def _path(self, step: int, index: int) -> str:
    return os.path.join(self._folder, self._name(step, index))

  def _name(self, step: int, index: int) -> str:
    return f"step-{step}.worker-{index}-of-{self._cluster.count}"


def make_positions(
  save_dir: str, iterator: Optional[tf.data.Iterator], fingerprint: str, cluster: Cluster
) -> Optional[DataPositions]:
  """Returns DataPositions; None for one machine, whose checkpoint holds it, or without iterator."""
  if iterator is None or cluster.count == 1:
    return None
  return DataPositions(save_dir, iterator, fingerprint, cluster)

"""Checkpoints of several workers: one, which the chief writes, and a position of each."""

import os
import tempfile
from collections.abc import Collection
from typing import Any, Callable, Optional

import tensorflow as tf

from heavy_ranker.checkpoints import CHECKPOINT_NAME, checkpoint_folder, step_of
from heavy_ranker.training.checkpoint_manager import CheckpointManager, Saved
from heavy_ranker.training.cluster.cluster import Cluster
from heavy_ranker.training.cluster.data_positions import DataPositions


class ClusterCheckpoints:
  """Saves and restores a run of several workers, all at the same step.

  Variables that each replica keeps for itself, such as batch norm's running statistics, are added
  up over all workers when they are saved. So all take part in saving, and all but the chief throw
  away what they write.

  Args:
    make_manager: makes what saves and restores the model's state into a folder, without a position.
    save_dir: the run's folder, which all workers share.
    positions: of the workers in their data; None if those cannot be saved.
    step: the number of updates made.
    cluster: the workers.
  """

  def __init__(
    self,
    make_manager: Callable[[str], CheckpointManager],
    save_dir: str,
    positions: Optional[DataPositions],
    step: tf.Variable,
    cluster: Cluster,
  ):
    self._step = step
    self._save_dir, self._positions, self._cluster = save_dir, positions, cluster
    self._scratch: Any = None
    if cluster.is_chief:
      self._manager = make_manager(save_dir)
    else:
      self._scratch = tempfile.TemporaryDirectory(prefix="worker-checkpoint-")
      self._manager = make_manager(self._scratch.name)

  def restore(self, checkpoint: str) -> bool:
    """Restores the model's state, and the workers' positions if all of them can be.

    Returns:
      Whether the positions were restored; says why not.
    """
    self._manager.restore(checkpoint)
    if self._positions is None:
      return False
    problem = self._positions.restore(step_of(checkpoint))
    if problem is not None:
      print(f"{checkpoint}: {problem}: reading starts from the data's beginning")
    return problem is None

  def save(self, kept_steps: Collection[int] = ()) -> Saved:
    """Writes a checkpoint and all positions; every worker returns the chief's path.

    Args:
      kept_steps: the steps of checkpoints that stay beside the newest.

    Raises:
      StorageError: this worker cannot write.
      ClusterError: another worker is lost; the checkpoints before are untouched.
    """
    step = int(self._step.numpy())
    # Positions first: a checkpoint that is there has all of them.
    if self._positions is not None:
      self._positions.save(step)
    saved = self._manager.save(kept_steps)
    self._cluster.gather(f"checkpoint of step {step}")
    if self._scratch is not None:
      tf.io.gfile.rmtree(checkpoint_folder(self._scratch.name))
    elif self._positions is not None:
      self._positions.remove_unused()
    folder = checkpoint_folder(self._save_dir)
    return saved._replace(path=os.path.join(folder, f"{CHECKPOINT_NAME}-{step}"))

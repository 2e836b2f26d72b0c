"""Finds out whether all workers see the same folder."""

import os
import uuid

import tensorflow as tf

from heavy_ranker.training.cluster.cluster import Cluster


def require_shared(folder: str, key: str, cluster: Cluster) -> None:
  """Has the chief write a file and all workers look for it.

  Args:
    folder: an absolute path that the chief can write to.
    key: the configuration key it comes from, for the message.
    cluster: the workers.

  Raises:
    ClusterError: a worker does not find it, or is lost.
  """
  if cluster.count == 1:
    return
  token = os.path.join(folder, f".shared-{uuid.uuid4().hex}")
  if cluster.is_chief:
    with tf.io.gfile.GFile(token, "w") as file:
      file.write("")
  (token, *_) = cluster.gather(f"{key} is written", token)
  try:
    cluster.require_same(
      f"{key}: whether {token} exists",
      tf.io.gfile.exists(token),
      "It has to be a folder that all workers share, on NFS or in an object store",
    )
  finally:
    if cluster.is_chief:
      tf.io.gfile.remove(token)

"""Rows of a large table that were trained elsewhere."""

import io

import numpy as np
import tensorflow as tf

from heavy_ranker.layers.large_embedding import LargeEmbedding
from tfrecords import paths
from tfrecords.errors import DataError, reason

_IDS = "ids"


def fill(layer: LargeEmbedding, key: str) -> str:
  """Assigns the rows of an .npz file to a table; the others keep their initial values.

  Where ids share a row, because it is a hash of them, it gets their mean. Ids that a vocabulary
  does not hold are left out.

  Args:
    layer: a table with `pretrained`, its vocabulary filled.
    key: the configuration key, for the messages.

  Returns:
    What was taken, for people.

  Raises:
    DataError: the file cannot be used.
  """
  config = layer.config
  path = paths.resolve(config.pretrained.embedding_snapshot_uri, f"{key}.embedding_snapshot_uri")
  where = f"{key}: {path}"
  ids, values = _read(path, config.pretrained.emb_name, where)
  _check(ids, values, config.pretrained.emb_name, config.embedding_dim, where)
  rows = layer.rows_of(tf.constant(ids)).numpy()
  # The last row stands for many ids, or for none; without a vocabulary only id 0 leads there.
  known = np.ones(len(ids), bool) if layer.vocabulary is None else rows < config.num_embeddings
  table = layer.embeddings.numpy()
  taken, positions, counts = np.unique(rows[known], return_inverse=True, return_counts=True)
  total = np.zeros((len(taken), config.embedding_dim))
  np.add.at(total, positions, values[known])
  table[taken] = total / counts[:, np.newaxis]
  layer.embeddings.assign(table)
  return (
    f"{where}: {known.sum()} of {len(ids)} ids gave {len(taken)} of the table's {len(table)} rows "
    f"their initial values; {(~known).sum()} ids are not in the vocabulary"
  )


def _read(path: str, name: str, where: str) -> tuple[np.ndarray, np.ndarray]:
  try:
    with tf.io.gfile.GFile(path, "rb") as file:
      content = file.read()
  except (tf.errors.OpError, OSError) as error:
    raise DataError(f"{where}: cannot be read: {reason(error)}") from None
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
      arrays = {key: archive[key] for key in archive.files if key in (_IDS, name)}
      found = ", ".join(archive.files)
  except Exception as error:  # noqa: BLE001 - a damaged archive leads NumPy to nearly any of them.
    raise DataError(
      f"{where}: no .npz file of numbers that can be read ({error}); write one with numpy.savez"
    ) from None
  for key in (_IDS, name):
    if key not in arrays:
      raise DataError(f"{where}: found no array {key!r}, but: {found or 'none'}")
  return arrays[_IDS], arrays[name]


def _check(ids: np.ndarray, values: np.ndarray, name: str, width: int, where: str) -> None:
  if ids.ndim != 1 or ids.dtype != np.int64:
    raise DataError(
      f"{where}: {_IDS}: found {ids.dtype} of shape {ids.shape}, allowed: int64 of shape [n]"
    )
  if values.shape != (len(ids), width) or values.dtype.kind != "f":
    raise DataError(
      f"{where}: {name}: found {values.dtype} of shape {values.shape}, allowed: floats of shape "
      f"{(len(ids), width)}, a row for each of {_IDS}, embedding_dim wide"
    )
  unique, counts = np.unique(ids, return_counts=True)
  if len(unique) < len(ids):
    raise DataError(f"{where}: {_IDS}: found {unique[counts > 1][0]} twice, allowed: each id once")
  finite = np.isfinite(values.astype(np.float32)).all(axis=1)
  if not finite.all():
    raise DataError(
      f"{where}: {name}: the row of id {ids[~finite][0]} is not finite, allowed: float32 numbers"
    )

"""What large tables start with: the ids that have rows, and rows trained elsewhere.

Only a run that starts from nothing needs these files: checkpoints and exports hold all of it.
"""

import re
from collections.abc import Iterator
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import LargeEmbeddingsConfig
from heavy_ranker.layers.large_embedding import LargeEmbedding, large_embedding_name
from heavy_ranker.training import pretrained_rows
from tfrecords import paths
from tfrecords.errors import CheckpointError, DataError, reason

_INTEGER = re.compile(rb"[+-]?[0-9]+")
_INT64 = np.iinfo(np.int64)


def fill_tables(ranker: keras.Model, section: Optional[LargeEmbeddingsConfig]) -> list[str]:
  """Reads `vocab` and `pretrained` of each large table and puts them into the ranker.

  Args:
    ranker: the model from `build_model`, changed in place.
    section: `model.large_embeddings`, or None.

  Returns:
    What was read, a line a file, for people.

  Raises:
    DataError: a file cannot be used; names the line or the array.
  """
  reports = []
  for key, layer in _large_tables(ranker, section):
    config = layer.config
    if config.vocab is not None:
      ids = read_vocabulary(config.vocab, config.num_embeddings, f"{key}.vocab")
      layer.vocabulary.assign(ids)
      reports.append(
        f"{key}.vocab: {len(ids)} ids have rows of their own, out of {config.num_embeddings}"
      )
    if config.pretrained is not None:
      reports.append(pretrained_rows.fill(layer, f"{key}.pretrained"))
  return reports


def check_vocabularies(
  ranker: keras.Model, section: Optional[LargeEmbeddingsConfig], origin: str
) -> None:
  """Compares the mappings a ranker got from a checkpoint with the files, those that are there.

  A table's rows belong to the ids they were trained for, so that another file cannot be used.

  Args:
    ranker: the model, restored.
    section: `model.large_embeddings`, or None.
    origin: where its weights come from, for the message.

  Raises:
    CheckpointError: a file says something else than the checkpoint.
    DataError: a file is there and cannot be used.
  """
  for key, layer in _large_tables(ranker, section):
    config = layer.config
    if config.vocab is None or not tf.io.gfile.exists(paths.resolve(config.vocab, f"{key}.vocab")):
      continue
    ids = read_vocabulary(config.vocab, config.num_embeddings, f"{key}.vocab")
    if not layer.vocabulary.holds(ids):
      raise CheckpointError(
        f"{key}.vocab: {config.vocab} holds other ids, or the same in another order, than those "
        f"the table was trained with in {origin}. Use the file it was trained with, give the table "
        "another num_embeddings in a warm start, or start over with --fresh"
      )


def read_vocabulary(path: str, most: int, key: str) -> np.ndarray:
  """Reads the ids that have rows of their own.

  Args:
    path: a text file, an integer a line; on any file system TensorFlow knows.
    most: how many there may be.
    key: the configuration key, for the messages.

  Returns:
    int64 [n], in the file's order.

  Raises:
    DataError: it cannot be read, holds something else, an id twice or too many; names the line.
  """
  resolved = paths.resolve(path, key)
  lines: dict[int, int] = {}
  try:
    with tf.io.gfile.GFile(resolved, "rb") as file:
      for number, line in enumerate(file, start=1):
        where = f"{key}: {resolved}: line {number}"
        value = _parse(line.strip(), where)
        if value in lines:
          raise DataError(f"{where}: found {value} again, it stands in line {lines[value]} already")
        if number > most:
          raise DataError(f"{where}: found more lines than num_embeddings, allowed: {most}")
        lines[value] = number
  except (tf.errors.OpError, OSError) as error:
    raise DataError(f"{key}: {resolved} cannot be read: {reason(error)}") from None
  if not lines:
    raise DataError(f"{key}: {resolved}: found no line, allowed: an id a line")
  return np.fromiter(lines, np.int64, len(lines))


def _parse(text: bytes, where: str) -> int:
  # The length is bounded before Python makes a number of it.
  value = int(text) if len(text) <= 40 and _INTEGER.fullmatch(text) else None
  if value is None or not _INT64.min <= value <= _INT64.max:
    raise DataError(f"{where}: found {text[:60].decode(errors='replace')!r}, allowed: an int64")
  return value


def _large_tables(
  ranker: keras.Model, section: Optional[LargeEmbeddingsConfig]
) -> Iterator[tuple[str, LargeEmbedding]]:
  """Yields the large tables with their keys in the configuration."""
  for index, table in enumerate(section.tables if section is not None else ()):
    layer = ranker.get_layer(large_embedding_name(table.name))
    yield f"model.large_embeddings.tables.{index}", layer

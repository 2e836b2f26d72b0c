"""A block of the table -> the records' features, as matrices."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecords.errors import DataError
from tfrecords.ingestion import categories, values
from tfrecords.ingestion.block import Block
from tfrecords.ingestion.layout import DenseColumn, Layout
from tfrecords.ingestion.mapping_entries import (
  SECONDS,
  Clock,
  ContinuousEntry,
  EmbeddingEntry,
  IdEntry,
  Step,
)

# Time since the Monday before 1970.
_MONDAY = 3 * 86400


class Featurizer:
  """Makes the features of a layout.

  Args:
    layout: what goes where.
    vocabularies: source column -> a category's text -> its number, for those that have one.
  """

  def __init__(self, layout: Layout, vocabularies: Mapping[str, Mapping[str, int]]):
    self._layout, self._vocabularies = layout, vocabularies
    # Made once rather than for each block.
    self._listed = {
      id(column.entry): categories.numbers_of(column.entry.values)
      for column in layout.dense.get("discrete", ())
      if column.entry.values is not None
    }

  def __call__(self, block: Block) -> dict[str, np.ndarray]:
    """Returns the features by name in the record, labels apart.

    Returns:
      float32 or int64 [rows, width] each: `continuous` and embeddings are floats.

    Raises:
      DataError: a cell cannot be used; names its row, its column and what it holds.
    """
    mapping, features = self._layout.mapping, {}
    makers = {"continuous": continuous, "binary": binary, "discrete": self._discrete}
    for feature, columns in self._layout.dense.items():
      dtype = np.float32 if feature == "continuous" else np.int64
      width = sum(len(column.names) for column in columns)
      matrix, start = np.empty((len(block), width), dtype), 0
      for column in columns:
        end = start + len(column.names)
        made = makers[feature](block, column)
        matrix[:, start:end] = made if made.ndim == 2 else made[:, np.newaxis]
        start = end
      features[feature] = matrix
    for name, entry in mapping.embeddings.items():
      features[name] = embedding(block, entry)
    for name, entry in mapping.ids.items():
      features[name] = identity(block, entry)[:, np.newaxis]
    return features

  def _discrete(self, block: Block, column: DenseColumn) -> np.ndarray:
    entry, name = column.entry, column.source
    if entry.hash is not None:
      return categories.buckets(block, name, entry.hash.buckets)
    if entry.vocabulary is not None:
      return categories.ranks(block, name, self._vocabularies[name])
    if entry.values is not None:
      return categories.ranks(block, name, self._listed[id(entry)])
    if entry.is_coded:
      found = clock(block, name, entry.hour, entry.weekday)
      return np.where(np.isnan(found), 0, found + 1).astype(np.int64)
    return values.integers(block, name, entry.missing, entry.invalid)


def continuous(block: Block, column: DenseColumn) -> np.ndarray:
  """Returns a column of `continuous`, float64 [rows]."""
  entry, name = column.entry, column.source
  if entry.count_items or entry.hour or entry.weekday or entry.age:
    found = _derived(block, name, entry)
    found = values.substitute(block, name, found, np.isnan(found), entry.missing, "a value")
  else:
    found = values.floats(block, name, entry.missing, entry.invalid)
  for step in entry.transform:
    found = _apply(step, found)
  bad = np.isinf(found) | (np.abs(found) > np.finfo(np.float32).max)
  return values.substitute(block, name, found, bad, entry.invalid, "finite after transform")


def binary(block: Block, column: DenseColumn) -> np.ndarray:
  """Returns columns of `binary`, 0 and 1 of int64: [rows], or [rows, categories]."""
  entry, name = column.entry, column.source
  if entry.present:
    return 1 - values.is_missing(block, name).to_numpy(zero_copy_only=False).astype(np.int64)
  if entry.one_hot is not None:
    return categories.one_hot(block, name, entry.one_hot, entry.separator or "")
  array = block.column(name)
  if pa.types.is_boolean(array.type) or values.is_text(array.type):
    found = pc.cast(values.booleans(block, name), pa.float64()).to_numpy(zero_copy_only=False)
    absent = np.isnan(found)
    found = values.substitute(block, name, found, absent, entry.missing, "0, 1, true or false")
  else:
    found = values.floats(block, name, entry.missing, entry.invalid)
    bad = (found != 0) & (found != 1)
    found = values.substitute(block, name, found, bad, entry.invalid, "0 or 1")
  return found.astype(np.int64)


def clock(block: Block, name: str, hour: Clock, weekday: Clock) -> np.ndarray:
  """Returns the hour of the day or, without `hour`, the day of the week; NaN where missing."""
  section = hour or weekday
  seconds = values.times(block, name, section.unit) + section.utc_offset_hours * 3600
  if hour is not None:
    return np.floor(seconds / 3600) % 24
  return np.floor((seconds + _MONDAY) / 86400) % 7


def embedding(block: Block, entry: EmbeddingEntry) -> np.ndarray:
  """Returns a ready-made embedding, float32 [rows, length].

  Raises:
    DataError: a row has another length, holds what is no number, or none where one has to be.
  """
  lists = categories.list_items(block, entry.column, entry.separator or "")
  lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
  wrong = lengths != entry.length
  if entry.missing != "error":
    wrong &= lengths > 0
  way_out = f"allowed: {entry.length} finite numbers"
  if wrong.any():
    row = int(np.argmax(wrong))
    raise block.error(row, entry.column, f" of length {lengths[row]}", way_out)
  try:
    items = pc.cast(pc.list_flatten(lists), pa.float32(), safe=False)
    flat = items.to_numpy(zero_copy_only=False)
  except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
    first = int(np.argmax(lengths > 0))
    problem = f" ({error}, here or below)"
    raise block.error(first, entry.column, problem, way_out) from None
  result = np.full((len(block), entry.length), _number(entry.missing), np.float32)
  result[lengths > 0] = flat.reshape(-1, entry.length)
  bad = ~np.isfinite(result).all(axis=1)
  if bad.any():
    raise block.error(int(np.argmax(bad)), entry.column, "", way_out)
  return result


def identity(block: Block, entry: IdEntry) -> np.ndarray:
  """Returns ids, int64 [rows]."""
  if entry.hash:
    found = categories.hashed(block, entry.column)
    if entry.missing in ("error", 0):
      absent = found == 0
      return values.substitute(block, entry.column, found, absent, entry.missing, "an id")
    return np.where(found == 0, entry.missing, found)
  try:
    return values.integers(block, entry.column, entry.missing)
  except DataError as error:
    raise DataError(f"{error}; hash: true makes an id of any text or number") from None


def _derived(block: Block, name: str, entry: ContinuousEntry) -> np.ndarray:
  if entry.count_items:
    lengths = pc.list_value_length(categories.list_items(block, name, entry.separator or ""))
    # No list is a list without items.
    return pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.float64)
  if entry.age is not None:
    later = values.times(block, entry.age.at, entry.age.unit)
    age = later - values.times(block, name, entry.age.unit)
    return age / SECONDS[entry.age.count_in]
  return clock(block, name, entry.hour, entry.weekday)


def _apply(step: Step, array: np.ndarray) -> np.ndarray:
  if step.log1p_abs:
    return np.copysign(np.log1p(np.abs(array)), array)
  if step.clip is not None:
    return np.clip(array, *step.clip)
  return array * step.scale if step.scale is not None else array + step.add


def _number(missing: object) -> float:
  return 0.0 if missing == "error" else float(missing)

"""Values of a column -> numbers of categories: hashed, by vocabulary, or from a list."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecords.ingestion import values
from tfrecords.ingestion.block import Block

_POSITIVE = 2**63 - 1


def hash_of(text: str) -> int:
  """Returns the first 63 bits of the BLAKE2b hash of 8 bytes of a text in UTF-8, little endian."""
  return (
    int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") & _POSITIVE
  )


def hashed(block: Block, name: str) -> np.ndarray:
  """Returns `hash_of` each cell's text, at least 1, int64 [rows]; 0 where it is missing."""
  return _by_text(block, name, lambda text: max(hash_of(text), 1))


def buckets(block: Block, name: str, n_buckets: int) -> np.ndarray:
  """Returns 1 + `hash_of` the cell's text modulo `n_buckets`, int64 [rows]; 0 where missing."""
  return _by_text(block, name, lambda text: 1 + hash_of(text) % n_buckets)


def ranks(block: Block, name: str, numbers: Mapping[str, int]) -> np.ndarray:
  """Returns the number of each cell's text, int64 [rows]; 0 where it has none."""
  return _by_text(block, name, lambda text: numbers.get(text, 0))


def numbers_of(categories: Sequence[object]) -> dict[str, int]:
  """Returns 1, 2 and so on for the categories in order, by their texts."""
  return {str(category): 1 + index for index, category in enumerate(categories)}


def one_hot(
  block: Block, name: str, categories: Sequence[object], separator: str = ""
) -> np.ndarray:
  """Tells for each category whether the cell is it, or the cell's list holds it.

  Returns:
    0 and 1, int64 [rows, categories].
  """
  kind = block.column(name).type
  if separator or pa.types.is_list(kind) or pa.types.is_large_list(kind):
    lists = list_items(block, name, separator)
    items = pc.cast(pc.list_flatten(lists), pa.string())
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
  else:
    items, rows = values.texts(block, name), np.arange(len(block))
  result = np.zeros((len(block), len(categories)), np.int64)
  for index, category in enumerate(categories):
    hits = pc.fill_null(pc.equal(items, str(category)), False).to_numpy(zero_copy_only=False)
    result[rows[hits], index] = 1
  return result


def list_items(block: Block, name: str, separator: str = "") -> pa.Array:
  """Returns a column as lists: those it has, or its texts, parted; null where missing.

  Raises:
    DataError: the column holds neither.
  """
  array = block.column(name)
  kind = array.type
  if pa.types.is_null(kind):
    return pc.cast(array, pa.list_(pa.string()))
  if pa.types.is_fixed_size_list(kind):
    return pc.cast(array, pa.list_(kind.value_type))
  if pa.types.is_list(kind) or pa.types.is_large_list(kind):
    return array
  if not values.is_text(kind) or not separator:
    raise block.error(
      0, name, f" of type {kind}", "allowed: lists, or texts with separator: in the mapping"
    )
  return pc.split_pattern(values.texts(block, name), separator)


def _by_text(block: Block, name: str, number_of: object) -> np.ndarray:
  encoded = pc.dictionary_encode(values.texts(block, name))
  table = np.array([number_of(text) for text in encoded.dictionary.to_pylist()] + [0], np.int64)
  # A missing cell has no index: it takes the last entry, 0.
  indices = pc.fill_null(encoded.indices, len(table) - 1).to_numpy(zero_copy_only=False)
  return table[indices]

"""Records of the right shape with values that mean nothing: to try whether everything runs."""

from collections.abc import Collection, Mapping

import numpy as np

from tfrecords.random_streams import stream
from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.serialization import Rows

# Floats are multiples of 1/64: they compress to half the size and in half the time.
_STEPS_PER_UNIT = 64
_LARGEST_ID = 2**63 - 1
_INTEGERS_BELOW = 1024
_VARIABLE_LENGTHS_BELOW = 9


class RandomRecords:
  """Blocks of records with random values.

  Labels and the dense feature `binary` are 0 or 1 with equal chances; other integer features of
  length 1 are ids in [1, 2^63); other integers lie in [0, 1024); floats are normally distributed
  with mean 0 and variance 1; byte features hold 8 hexadecimal digits a value. A feature of
  variable length has 0 to 8 values. Record i depends on the seed and i alone.

  Args:
    features: what a record holds, by name in the record.
    labels: the names of those that are labels.
    seed: at least 0.

  Attributes:
    features: as given.
    block_size: records a block.
  """

  block_size = 64

  def __init__(self, features: Mapping[str, Feature], labels: Collection[str], seed: int):
    self.features = dict(features)
    self._labels = frozenset(labels)
    self._seed = seed

  def block(self, index: int) -> dict[str, Rows]:
    """Returns the records [index * block_size, (index + 1) * block_size), column by column."""
    return {
      name: self._rows(feature, stream(self._seed, name, index))
      for name, feature in self.features.items()
    }

  def _rows(self, feature: Feature, random: np.random.Generator) -> Rows:
    is_bit = feature.record_name in self._labels or feature.name == "binary"
    if not is_bit or feature.length == VARIABLE_LENGTH or feature.dtype == "bytes_list":
      return random_rows(feature, random, self.block_size)
    bits = random.integers(0, 2, (self.block_size, feature.length))
    return bits.astype(feature.tensor_dtype.as_numpy_dtype)


def random_rows(feature: Feature, random: np.random.Generator, n_rows: int) -> Rows:
  """Returns any values of a feature's dtype and length, [n_rows, length].

  Args:
    feature: what to fill; rows of a feature of variable length come as a list of arrays.
    random: where the values come from.
    n_rows: how many rows.
  """
  if feature.length != VARIABLE_LENGTH:
    return _values(feature, random, n_rows * feature.length).reshape(n_rows, feature.length)
  ends = np.cumsum(random.integers(0, _VARIABLE_LENGTHS_BELOW, n_rows))
  return np.split(_values(feature, random, int(ends[-1])), ends[:-1])


def _values(feature: Feature, random: np.random.Generator, size: int) -> np.ndarray:
  if feature.dtype == "float_list":
    values = random.standard_normal(size, np.float32)
    return np.rint(values * _STEPS_PER_UNIT) / np.float32(_STEPS_PER_UNIT)
  if feature.dtype == "bytes_list":
    return np.array([b"%08x" % value for value in random.integers(0, 2**32, size)], object)
  if feature.length == 1:
    return random.integers(1, _LARGEST_ID, size, endpoint=True)
  return random.integers(0, _INTEGERS_BELOW, size)

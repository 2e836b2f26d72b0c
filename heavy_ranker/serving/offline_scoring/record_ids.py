"""The ids that go with the scores: which ones records hold, and their values."""

from collections import Counter
from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords import diagnosis, parsing
from tfrecords.errors import ConfigError, DataError
from tfrecords.record_check import RecordCheck
from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.shards import Shard

PREFIX = "meta."
_DTYPES = ("int64_list", "bytes_list")
_RECORDS_LOOKED_AT = 256


def find_ids(shard: Shard, names: Optional[Sequence[str]] = None) -> tuple[Feature, ...]:
  """Returns the ids to copy, by what the first records of a file hold.

  Args:
    shard: the file.
    names: the features to copy, in this order; None takes all whose name begins with "meta." and
      that hold one integer or one string.

  Raises:
    ConfigError: a feature is named twice, or is none of one integer or one string.
    DataError: the file cannot be read, or no record looked at holds a feature that is named.
  """
  found = _kinds(shard)
  if names is None:
    chosen = sorted(name for name in found if name.startswith(PREFIX) and found[name] in _DTYPES)
  else:
    chosen = list(names)
  for name, count in Counter(chosen).items():
    if count > 1:
      raise ConfigError(f"--ids: found {name!r} {count} times, allowed: once")
    if name not in found:
      raise DataError(
        f"--ids: no feature {name!r} in the first {_RECORDS_LOOKED_AT} records of {shard.path}; "
        f"found: {', '.join(sorted(found))}"
      )
    if found[name] not in _DTYPES:
      raise ConfigError(
        f"--ids: {name!r} holds {found[name]} in {shard.path}, allowed: one integer or one string"
      )
  return tuple(Feature(name, name, found[name], VARIABLE_LENGTH) for name in chosen)


def _kinds(shard: Shard) -> dict[str, str]:
  """Returns "int64_list" or "bytes_list" for single values, else what a feature holds, by name."""
  kinds: dict[str, str] = {}
  records = tf.data.TFRecordDataset(shard.path, shard.compression).take(_RECORDS_LOOKED_AT)
  with diagnosis.Explained([shard], RecordCheck({})):
    for position, record in enumerate(records.as_numpy_iterator()):
      problem = RecordCheck({}).problem(record)
      if problem is not None:
        raise DataError(f"{shard.path}: record {position}: {problem}")
      for name, feature in tf.train.Example.FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        length = len(getattr(feature, kind).value) if kind is not None else 0
        if length > 1 or kind == "float_list":
          kinds[name] = f"{length} value(s) of {kind}"
        elif length == 1:
          kinds.setdefault(name, kind)
  return kinds


class IdReader:
  """Reads ids from serialized records.

  Args:
    features: from `find_ids`.

  Attributes:
    features: the same.
    check: says what is wrong with a record's ids.
  """

  def __init__(self, features: Sequence[Feature]):
    self.features = tuple(features)
    by_name = {feature.name: feature for feature in features}
    self.check = RecordCheck(by_name)
    self._parse = parsing.make_parser(by_name) if features else None

  def read(self, records: tf.Tensor, start: int, path: str) -> dict[str, np.ma.MaskedArray]:
    """Returns the ids of a batch by name, int64 or bytes [n], masked where a record has none.

    Args:
      records: serialized Examples [n].
      start: the first one's place in its file.
      path: the file, for the messages.

    Raises:
      DataError: a record holds several values.
      tf.errors.InvalidArgumentError: a record cannot be parsed; `Explained` knows which.
    """
    if self._parse is None:
      return {}
    positions = start + tf.range(len(records), dtype=tf.int64)
    parsed = self._parse(records, diagnosis.record_names(tf.zeros_like(positions), positions))
    return {
      feature.name: _column(parsed[feature.name], feature.name, start, path)
      for feature in self.features
    }


def _column(ids: tf.RaggedTensor, name: str, start: int, path: str) -> np.ma.MaskedArray:
  lengths, values = ids.row_lengths().numpy(), ids.flat_values.numpy()
  if (lengths > 1).any():
    row = int(np.argmax(lengths > 1))
    raise DataError(
      f"{path}: record {start + row}: feature {name!r} holds {lengths[row]} values, allowed: one, "
      "since it is copied as an id. Leave it out with --ids=NAME,NAME"
    )
  column = np.ma.masked_all(len(lengths), values.dtype)
  column[lengths == 1] = values
  return column

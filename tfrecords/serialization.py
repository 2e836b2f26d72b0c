"""Columns of values -> serialized tf.Examples: the way back of `tfrecords.parsing`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

import numpy as np
import tensorflow as tf

from tfrecords.schema import Feature

# The rows of one feature: an array [rows, length], or a list a row where lengths differ.
Rows = Union[np.ndarray, Sequence[Sequence]]


def serialize(columns: Mapping[str, Rows], features: Mapping[str, Feature]) -> Iterator[bytes]:
  """Yields one serialized tf.Example a row; the same values always give the same bytes.

  Args:
    columns: rows by name in the record, all of the same number of rows; values fit the dtype.
    features: what each of them is, by name in the record.
  """
  makers = [(name, rows, _MAKERS[features[name].dtype]) for name, rows in columns.items()]
  n_rows = len(next(iter(columns.values()))) if columns else 0
  for row in range(n_rows):
    values = {name: make(_values(rows[row])) for name, rows, make in makers}
    example = tf.train.Example(features=tf.train.Features(feature=values))
    yield example.SerializeToString(deterministic=True)


def _values(row: Union[np.ndarray, Sequence]) -> Sequence:
  # protobuf takes Python's numbers several times faster than NumPy's.
  return row.tolist() if isinstance(row, np.ndarray) else row


def _int64_feature(values: Sequence[int]) -> tf.train.Feature:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _float_feature(values: Sequence[float]) -> tf.train.Feature:
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _bytes_feature(values: Sequence[bytes]) -> tf.train.Feature:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


_MAKERS = {
  "int64_list": _int64_feature,
  "float_list": _float_feature,
  "bytes_list": _bytes_feature,
}

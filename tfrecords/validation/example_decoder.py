"""Batches of records decoded with all their features, and which records differ from the schema.

The fast way is the op that training parses with, plus one that counts the entries of each Example's
feature map. Absent features read as a value that no record holds, so that entries, features present
and features of the schema can be held against each other; only records in which they do not add up
are looked at one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.validation.record_facts import UNPARSABLE, Mistake, facts_of

# TensorFlow quotes an unparsable record in its message, and fails to build the exception when
# those bytes are no UTF-8.
_UNPARSABLE = (tf.errors.InvalidArgumentError, tf.errors.DataLossError, UnicodeDecodeError)

# A NaN with a payload of its own; what else holds it only costs a closer look.
_ABSENT_FLOAT_BITS = 0x7FC5A1E5
_ABSENT = {
  tf.float32: np.array(_ABSENT_FLOAT_BITS, np.uint32).view(np.float32)[()],
  tf.int64: np.int64(-0x5EC0DEAB5E47A1E5),
  tf.string: b"\xffabsent\xfe",
}


@dataclass(frozen=True)
class Decoded:
  """A batch of records, of which n can be read. Features have their names in the record.

  Attributes:
    rows: which records of the batch they are, int64 [n], ascending.
    values: of features of fixed length, [n, length]: float32, int64 or bytes; 0 where absent. Of
      those of variable length, of all records one after the other.
    absent: feature -> which of the n records lack it, bool [n]; only features that some lack.
    mistakes: (record of the batch, why it cannot be read), for all others.
    unexpected: (record of the batch, feature that no schema lists).
  """

  rows: np.ndarray
  values: dict[str, np.ndarray]
  absent: dict[str, np.ndarray] = field(default_factory=dict)
  mistakes: list[tuple[int, Mistake]] = field(default_factory=list)
  unexpected: list[tuple[int, str]] = field(default_factory=list)


class ExampleDecoder:
  """Decodes batches; safe to use from several threads.

  Args:
    features: the schema, by name in the record.
  """

  def __init__(self, features: Mapping[str, Feature]):
    self._features = features
    specification = {name: _specification(feature) for name, feature in features.items()}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def parse(serialized: tf.Tensor) -> dict:
      parsed = tf.io.parse_example(serialized, specification)
      return {
        "parsed": parsed,
        "present": {name: _is_present(parsed[name], feature) for name, feature in features.items()},
      }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def parse_and_count(serialized: tf.Tensor) -> dict:
      return {**parse(serialized), "entries": _count_entries(serialized)}

    self._parse, self._parse_and_count = parse, parse_and_count
    parse_and_count.get_concrete_function()

  def decode(self, serialized: tf.Tensor) -> Decoded:
    """Decodes serialized Examples [batch] as far as they can be read."""
    try:
      result = self._parse_and_count(serialized)
    except _UNPARSABLE:
      return self._decode_each(serialized)
    present = {name: found.numpy() for name, found in result["present"].items()}
    counted = np.sum(list(present.values()), axis=0, dtype=np.int64)
    odd = np.flatnonzero(counted != result["entries"].numpy())
    return self._decoded(serialized, np.arange(len(counted)), odd, result["parsed"], present)

  def _decode_each(self, serialized: tf.Tensor) -> Decoded:
    """Decodes a batch of which some records cannot be read."""
    records = serialized.numpy()
    mistakes, good = [], []
    for row, record in enumerate(records):
      facts = facts_of(record, self._features)
      mistakes += [(row, mistake) for mistake in facts.mistakes]
      if not facts.mistakes:
        good.append(row)
    unreadable = [good[place] for place in self._unreadable(records[good])]
    mistakes += [(row, UNPARSABLE) for row in unreadable]
    rows = np.setdiff1d(np.array(good, np.int64), unreadable)
    part = tf.constant(records[rows], tf.string, [len(rows)])
    result = self._parse(part)
    present = {name: found.numpy() for name, found in result["present"].items()}
    decoded = self._decoded(part, rows, np.arange(len(rows)), result["parsed"], present)
    return Decoded(
      decoded.rows,
      decoded.values,
      decoded.absent,
      sorted(mistakes + decoded.mistakes, key=lambda found: found[0]),
      decoded.unexpected,
    )

  def _unreadable(self, records: np.ndarray) -> list[int]:
    """Returns which records TensorFlow refuses although protobuf takes them."""
    found, parts = [], [(0, len(records))]
    while parts:
      start, end = parts.pop()
      try:
        self._parse(tf.constant(records[start:end], tf.string, [end - start]))
      except _UNPARSABLE:
        middle = (start + end) // 2
        if middle == start:
          found.append(start)
        else:
          parts += [(middle, end), (start, middle)]
    return found

  def _decoded(
    self,
    serialized: tf.Tensor,
    rows: np.ndarray,
    odd: Sequence[int],
    parsed: Mapping[str, tf.Tensor],
    present: dict[str, np.ndarray],
  ) -> Decoded:
    """Puts a batch together that TensorFlow has parsed; looks at the odd records one by one."""
    mistakes, unexpected = [], []
    for place in odd:
      facts = facts_of(serialized[int(place)].numpy(), self._features)
      mistakes += [(int(rows[place]), mistake) for mistake in facts.mistakes]
      unexpected += [(int(rows[place]), name) for name in facts.unexpected]
      for name, found in present.items():
        found[place] = name not in facts.missing
    values = {name: _values(tensor) for name, tensor in parsed.items()}
    absent = {name: ~found for name, found in present.items() if not found.all()}
    for name, missing in absent.items():
      if self._features[name].length != VARIABLE_LENGTH:
        values[name][missing] = b"" if values[name].dtype == object else 0
    if not mistakes:
      return Decoded(rows, values, absent, mistakes, unexpected)
    good = np.isin(rows, [row for row, _ in mistakes], invert=True)
    fixed = [name for name, feature in self._features.items() if feature.length != VARIABLE_LENGTH]
    kept = {**values, **{name: values[name][good] for name in fixed}}
    absent = {name: missing[good] for name, missing in absent.items()}
    return Decoded(rows[good], kept, absent, mistakes, unexpected)


def _specification(feature: Feature) -> object:
  if feature.length == VARIABLE_LENGTH:
    return tf.io.RaggedFeature(feature.tensor_dtype)
  default = [_ABSENT[feature.tensor_dtype]] * feature.length
  return tf.io.FixedLenFeature([feature.length], feature.tensor_dtype, default)


def _is_present(tensor: tf.Tensor, feature: Feature) -> tf.Tensor:
  if feature.length == VARIABLE_LENGTH:
    return tensor.row_lengths() > 0
  first = tensor[:, 0]
  if feature.tensor_dtype is tf.float32:
    return tf.bitcast(first, tf.int32) != _ABSENT_FLOAT_BITS
  return first != _ABSENT[feature.tensor_dtype]


def _count_entries(serialized: tf.Tensor) -> tf.Tensor:
  """Returns how many entries the feature map of each Example has, int32 [batch]."""
  _, (features,) = tf.io.decode_proto(serialized, "tensorflow.Example", ["features"], [tf.string])
  sizes, _ = tf.io.decode_proto(features[:, 0], "tensorflow.Features", ["feature"], [tf.string])
  return sizes[:, 0]


def _values(tensor: tf.Tensor) -> np.ndarray:
  return (tensor.flat_values if isinstance(tensor, tf.RaggedTensor) else tensor).numpy()

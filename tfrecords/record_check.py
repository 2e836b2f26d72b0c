"""Which records can be used, a whole batch at a time, and what is wrong with the others."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Callable, Optional

import numpy as np
import tensorflow as tf

from tfrecords import parsing
from tfrecords.labels import are_usable
from tfrecords.recorded_probabilities import are_probabilities
from tfrecords.schema import VARIABLE_LENGTH, Feature

NO_EXAMPLE = "no tf.Example; write the file again or remove it"
_MEND_RECORD = "Write the file again, or correct the schema if the file is right"
_MEND_PROBABILITY = (
  "Write the file again with it (planted records: --write_probabilities), or leave that one out of "
  "evaluation.baselines"
)
# TensorFlow quotes an unparsable record in its message, and fails to build the exception when
# those bytes are no UTF-8.
_UNPARSABLE = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


class RecordCheck:
  """Compares records with what the data section reads of them.

  Args:
    features: what is parsed, by name inside the model; labels included.
    labels: those of them that have to be 0 or 1.
    missing_labels: "zero" when a label may be missing.
    key: the data section's path in the configuration, for the messages.
    probabilities: those of `features` that have to be there and in [0, 1].
  """

  def __init__(
    self,
    features: Mapping[str, Feature],
    labels: Sequence[str] = (),
    missing_labels: str = "error",
    key: str = "train_data",
    probabilities: Collection[str] = (),
  ):
    self._features = features
    self._labels = frozenset(labels)
    self._probabilities = frozenset(probabilities)
    self._missing_labels = missing_labels
    self._key = key
    self._parse = parsing.make_parser(features, self._labels, self._probabilities)
    self._are_valid = _make_row_check(
      self._parse,
      sorted(self._labels),
      missing_labels == "zero",
      sorted(self._probabilities),
    )

  def can_parse(self, records: tf.Tensor) -> bool:
    """Tells whether serialized Examples [n] can all be parsed, whatever their labels are."""
    try:
      self._parse(records, tf.zeros_like(records))
    except _UNPARSABLE:
      return False
    return True

  def bad_rows(self, records: np.ndarray) -> Iterator[int]:
    """Yields which of the serialized Examples [n] (bytes) cannot be used, in their order.

    Costs one parse when all of them can be parsed, log n more for each that cannot.
    """
    parts = [(0, len(records))]
    while parts:
      start, end = parts.pop()
      try:
        valid = self._are_valid(tf.constant(records[start:end], tf.string, [end - start])).numpy()
        yield from (start + np.flatnonzero(~valid)).tolist()
      except _UNPARSABLE:
        middle = (start + end) // 2
        if middle == start:
          yield start
        else:
          parts += [(middle, end), (start, middle)]

  def problem(self, serialized: bytes) -> Optional[str]:
    """Returns what is wrong with a record and how to mend it, or None."""
    try:
      example = tf.train.Example.FromString(serialized)
    except Exception:  # noqa: BLE001 - protobuf's DecodeError, which differs by version.
      return NO_EXAMPLE
    problems = (self._problem_of(feature, example) for feature in self._features.values())
    return next(filter(None, problems), None)

  def _problem_of(self, feature: Feature, example: tf.train.Example) -> Optional[str]:
    is_label = feature.name in self._labels
    what = f"{'label' if is_label else 'feature'} {feature.record_name!r}"
    found = example.features.feature
    kind = None
    if feature.record_name in found:
      kind = found[feature.record_name].WhichOneof("kind")
    is_probability = feature.name in self._probabilities
    if kind is None and is_probability:
      return f"{what} is missing, which a baseline reads. {_MEND_PROBABILITY}"
    if kind is None:
      return self._missing(what) if is_label and self._missing_labels == "error" else None
    if kind != feature.dtype:
      return f"{what} holds {kind}, allowed: {feature.dtype}. {_MEND_RECORD}"
    values = getattr(found[feature.record_name], kind).value
    if feature.length not in (VARIABLE_LENGTH, len(values)):
      return f"{what} holds {len(values)} value(s), allowed: {feature.length}. {_MEND_RECORD}"
    if is_label and values[0] not in (0, 1):
      return f"{what} is {values[0]}, allowed: 0 or 1. Write the file again with other labels"
    if is_probability and not 0 <= values[0] <= 1:
      return f"{what} is {values[0]:g}, allowed: a probability in [0, 1]. {_MEND_PROBABILITY}"
    return None

  def _missing(self, what: str) -> str:
    return (
      f"{what} is missing. Write the file again with it, or let missing labels count as negatives "
      f"with --set {self._key}.missing_labels=zero"
    )


def _make_row_check(
  parse: parsing.Parser, labels: Sequence[str], may_be_missing: bool, probabilities: Sequence[str]
) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns a function of Examples [n] to whether their labels and probabilities can be used."""

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
  def are_valid(records: tf.Tensor) -> tf.Tensor:
    batch = parse(records, tf.zeros_like(records))
    # What is not used would not be parsed and so not be checked; a mere control dependency on
    # something without side effects does not count as use.
    parsed = [tf.size(part) >= 0 for part in tf.nest.flatten(batch, expand_composites=True)]
    valid = tf.fill(tf.shape(records), tf.reduce_all(tf.stack(parsed)))
    checks = [are_usable(batch[name], may_be_missing) for name in labels]
    checks += [are_probabilities(batch[name]) for name in probabilities]
    return tf.reduce_all(tf.concat([valid[:, tf.newaxis], *checks], axis=1), axis=1)

  return are_valid

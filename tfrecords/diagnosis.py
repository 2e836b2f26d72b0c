"""After reading failed: which file, which record, what is wrong with it.

tf.data reports a damaged file without its name, and a bad record by whatever name the pipeline
gave it. So the pipeline names records by the numbers of file and record, and after a failure the
record is read again, in Python, and compared with the schema.
"""

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Callable, Optional, Union

import tensorflow as tf

from tfrecords import parsing
from tfrecords.errors import DataError
from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.shards import Shard

_RECORD = re.compile(r"\brecord#(\d+):(\d+)\b")
# What TensorFlow says of a record that it cannot parse, without its name.
_UNPARSABLE = ("Could not parse example input", "Unsupported datatype")
_GRAPH_NODE = re.compile(r"\{\{.*?\}\}")
_RECORDS_PARSED_TOGETHER = 256

_NO_EXAMPLE = "no tf.Example; write the file again or remove it"
_MEND_RECORD = "Write the file again, or correct the schema if the file is right"

# TensorFlow quotes an unparsable record in its message, and fails to build the exception when
# those bytes are no UTF-8.
_ReadingError = Union[tf.errors.OpError, UnicodeDecodeError]
_CANNOT_BE_OPENED = (
  tf.errors.NotFoundError,
  tf.errors.PermissionDeniedError,
  tf.errors.FailedPreconditionError,
)


def record_names(file_numbers: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
  """Names records so that `Explained` recognises them in TensorFlow's messages.

  Args:
    file_numbers: int64, each record's file as its place in the list of shards.
    positions: int64, its place in the file, from 0.

  Returns:
    strings of the same shape.
  """
  return tf.strings.join(
    ["record#", tf.strings.as_string(file_numbers), ":", tf.strings.as_string(positions)]
  )


class Explained:
  """A context that turns TensorFlow's reading errors into DataErrors with file and record.

  Args:
    shards: the files being read; only looked at after a failure.
    features: what is parsed, by name inside the model; labels included.
    labels: those of them that have to be 0 or 1.
    missing_labels: "zero" when a label may be missing.
    key: the data section's path in the configuration, for the messages.
  """

  def __init__(
    self,
    shards: Sequence[Shard],
    features: Mapping[str, Feature],
    labels: Sequence[str] = (),
    missing_labels: str = "error",
    key: str = "train_data",
  ):
    self._shards = shards
    self._features = features
    self._parse = parsing.make_parser(features)
    self._labels = frozenset(labels)
    self._missing_labels = missing_labels
    self._key = key

  def __enter__(self) -> "Explained":
    return self

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    if not isinstance(error, (tf.errors.OpError, UnicodeDecodeError)):
      return
    message = self._explain(error)
    if message:
      raise DataError(message) from None

  def _explain(self, error: _ReadingError) -> Optional[str]:
    """Returns the message for the user, or None when the error is not about data."""
    text = _text(error)
    if any(words in text for words in _UNPARSABLE):
      return self._first_unparsable() or f"{self._key}: a record is {_NO_EXAMPLE}"
    record = _RECORD.search(text)
    if record:
      return self._explain_record(int(record.group(1)), int(record.group(2)), _detail(text))
    if isinstance(error, tf.errors.DataLossError):
      return self._first(_damage) or (
        f"{self._key}: reading failed ({_detail(text)}), but every file can be read now; try again"
      )
    if isinstance(error, _CANNOT_BE_OPENED):
      return self._first(_unopenable)
    return None

  def _first(self, problem_of: Callable[[Shard], Optional[str]]) -> Optional[str]:
    return next(filter(None, map(problem_of, self._shards)), None)

  def _first_unparsable(self) -> Optional[str]:
    for number, shard in enumerate(self._shards):
      position = 0
      try:
        for records in _read(shard).batch(_RECORDS_PARSED_TOGETHER):
          size = 0 if self._can_parse(records) else len(records)
          bad = [row for row in range(size) if not self._can_parse(records[row : row + 1])]
          if bad:
            return self._explain_record(number, position + bad[0], _NO_EXAMPLE)
          position += len(records)
      except tf.errors.OpError:
        return _damage(shard)
    return None

  def _can_parse(self, records: tf.Tensor) -> bool:
    try:
      self._parse(records, tf.zeros_like(records))
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError):
      return False
    return True

  def _explain_record(self, file_number: int, position: int, otherwise: str) -> str:
    shard = self._shards[file_number]
    place = f"{shard.path}: record {position}"
    try:
      (serialized,) = _read(shard).skip(position).take(1).as_numpy_iterator()
      example = tf.train.Example.FromString(serialized)
    except Exception:  # noqa: BLE001 - also protobuf's DecodeError, which differs by version.
      return f"{place}: {_NO_EXAMPLE}"
    for feature in self._features.values():
      problem = self._problem_of(feature, example)
      if problem:
        return f"{place}: {problem}"
    return f"{place}: {otherwise}"

  def _problem_of(self, feature: Feature, example: tf.train.Example) -> Optional[str]:
    is_label = feature.name in self._labels
    what = f"{'label' if is_label else 'feature'} {feature.record_name!r}"
    found = example.features.feature
    kind = None
    if feature.record_name in found:
      kind = found[feature.record_name].WhichOneof("kind")
    if kind is None:
      return self._missing(what) if is_label and self._missing_labels == "error" else None
    if kind != feature.dtype:
      return f"{what} holds {kind}, allowed: {feature.dtype}. {_MEND_RECORD}"
    values = getattr(found[feature.record_name], kind).value
    if feature.length not in (VARIABLE_LENGTH, len(values)):
      return f"{what} holds {len(values)} value(s), allowed: {feature.length}. {_MEND_RECORD}"
    if is_label and values[0] not in (0, 1):
      return f"{what} is {values[0]}, allowed: 0 or 1. Write the file again with other labels"
    return None

  def _missing(self, what: str) -> str:
    return (
      f"{what} is missing. Write the file again with it, or let missing labels count as negatives "
      f"with --set {self._key}.missing_labels=zero"
    )


def _text(error: _ReadingError) -> str:
  if isinstance(error, UnicodeDecodeError):
    return bytes(error.object).decode(errors="replace")
  return error.message or ""


def _detail(text: str) -> str:
  return _GRAPH_NODE.sub("", text).split("[Op:")[0].split("\n")[0].strip()


def _read(shard: Shard) -> tf.data.Dataset:
  return tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)


def _damage(shard: Shard) -> Optional[str]:
  position = 0
  try:
    for _ in _read(shard):
      position += 1
  except tf.errors.OpError as error:
    return (
      f"{shard.path}: record {position}: the file is cut short or damaged "
      f"({_detail(error.message)}); the {position} record(s) before it can be read. Write the file "
      "again or remove it"
    )
  return None


def _unopenable(shard: Shard) -> Optional[str]:
  try:
    with tf.io.gfile.GFile(shard.path, "rb") as file:
      file.read(1)
  except tf.errors.NotFoundError:
    return f"{shard.path}: the file has vanished; put it back, or start again without it"
  except tf.errors.OpError as error:
    return f"{shard.path}: the file can no longer be read: {error.message}"
  return None

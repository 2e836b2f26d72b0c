"""After reading failed: which file, which record, what is wrong with it.

tf.data reports a damaged file without its name, and a bad record by whatever name the pipeline
gave it. So the pipeline names records by the numbers of file and record, and after a failure the
record is read again, in Python, and compared with the schema.
"""

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Callable, Optional, Union

import tensorflow as tf

from tfrecords.errors import DataError
from tfrecords.record_check import NO_EXAMPLE, RecordCheck
from tfrecords.shards import Shard

_RECORD = re.compile(r"\brecord#(\d+):(\d+)\b")
# What TensorFlow says of a record that it cannot parse, without its name.
_UNPARSABLE = ("Could not parse example input", "Unsupported datatype")
_FEATURE = re.compile(r"\bName: .*?, ((?:Key|Feature): .*)")
_GRAPH_NODE = re.compile(r"\{\{.*?\}\}")
_RECORDS_PARSED_TOGETHER = 256

# TensorFlow quotes an unparsable record in its message, and fails to build the exception when
# those bytes are no UTF-8.
ReadingError = Union[tf.errors.OpError, UnicodeDecodeError]
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
    check: says what is wrong with a record.
    key: the data section's path in the configuration, for the messages.
    failure: returns what Python code that reads failed with, if it did.
  """

  def __init__(
    self,
    shards: Sequence[Shard],
    check: RecordCheck,
    key: str = "train_data",
    failure: Callable[[], Optional[DataError]] = lambda: None,
  ):
    self._shards, self._check = shards, check
    self._key, self._failure = key, failure

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
    if self._failure() is not None:
      raise self._failure() from None
    message = self._explain(error)
    if message:
      raise DataError(message) from None

  def _explain(self, error: ReadingError) -> Optional[str]:
    """Returns the message for the user, or None when the error is not about data."""
    text = _text(error)
    if any(words in text for words in _UNPARSABLE):
      return self._first_unparsable() or f"{self._key}: a record is {NO_EXAMPLE}"
    record = _RECORD.search(text)
    if record:
      return self._explain_record(int(record.group(1)), int(record.group(2)), _detail(text))
    if isinstance(error, tf.errors.DataLossError):
      return self._first(damage) or (
        f"{self._key}: reading failed ({_detail(text)}), but every file can be read now; try again"
      )
    if isinstance(error, _CANNOT_BE_OPENED):
      return self._first(unopenable)
    return None

  def _first(self, problem_of: Callable[[Shard], Optional[str]]) -> Optional[str]:
    return next(filter(None, map(problem_of, self._shards)), None)

  def _first_unparsable(self) -> Optional[str]:
    for number, shard in enumerate(self._shards):
      position = 0
      try:
        for records in _read(shard).batch(_RECORDS_PARSED_TOGETHER):
          size = 0 if self._check.can_parse(records) else len(records)
          bad = [row for row in range(size) if not self._check.can_parse(records[row : row + 1])]
          if bad:
            return self._explain_record(number, position + bad[0], NO_EXAMPLE)
          position += len(records)
      except tf.errors.OpError:
        return damage(shard)
    return None

  def _explain_record(self, file_number: int, position: int, otherwise: str) -> str:
    shard = self._shards[file_number]
    place = f"{shard.path}: record {position}"
    try:
      (serialized,) = _read(shard).skip(position).take(1).as_numpy_iterator()
    except (tf.errors.OpError, ValueError):
      return f"{place}: {otherwise}"
    return f"{place}: {self._check.problem(serialized) or otherwise}"


def what_failed(error: ReadingError) -> str:
  """Returns what TensorFlow says of a failure, in one line and without its own bookkeeping.

  Of a record that cannot be parsed it is the feature and what is wrong with it.
  """
  text = _text(error)
  feature = _FEATURE.search(text)
  return _detail(feature.group(1) if feature else text)


def _text(error: ReadingError) -> str:
  if isinstance(error, UnicodeDecodeError):
    return bytes(error.object).decode(errors="replace")
  return error.message or ""


def _detail(text: str) -> str:
  return _GRAPH_NODE.sub("", text).split("[Op:")[0].split("\n")[0].strip()


def _read(shard: Shard) -> tf.data.Dataset:
  return tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)


def damage(shard: Shard) -> Optional[str]:
  """Reads a file up to its damage; returns the message for the user, or None if there is none."""
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


def unopenable(shard: Shard) -> Optional[str]:
  """Returns why a file cannot be opened, for the user, or None if it can."""
  try:
    with tf.io.gfile.GFile(shard.path, "rb") as file:
      file.read(1)
  except tf.errors.NotFoundError:
    return f"{shard.path}: the file has vanished; put it back, or start again without it"
  except tf.errors.OpError as error:
    return f"{shard.path}: the file can no longer be read: {error.message}"
  return None

"""After reading failed: which file, which record, what is wrong with it.

tf.data reports a damaged file without its name, and a bad record somewhere in a long message.
"""

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Optional

import tensorflow as tf

from tfrecords.errors import DataError
from tfrecords.labels import BAD_LABEL
from tfrecords.parsing import MISSING_LABEL
from tfrecords.shards import Shard

_LABEL = re.compile(rf"\[{BAD_LABEL}\] \[\"?([^\]\"]+)\"?\] \[\"?([^\]\"]+)\"?\] \[(-?\d+)\]")
_NAMED = re.compile(r"Name: (?P<name>[^,]+), (?P<rest>.*)", re.DOTALL)
_KEY = re.compile(r"(?:Feature|Key): (?P<key>\S+?)(?:[ ,]|$)")
_NOT_AN_EXAMPLE = re.compile(r"Could not parse example input, value: '", re.DOTALL)
_DATA_PROBLEMS = (
  tf.errors.DataLossError,
  tf.errors.InvalidArgumentError,
  tf.errors.NotFoundError,
  tf.errors.OutOfRangeError,
)


class Explained:
  """A context that turns TensorFlow's reading errors into DataErrors with file and record.

  Args:
    shards: the files being read; only looked at after a failure.
  """

  def __init__(self, shards: Sequence[Shard]):
    self._shards = shards

  def __enter__(self) -> "Explained":
    return self

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    if not isinstance(error, _DATA_PROBLEMS):
      return
    message = explain(error, self._shards)
    if message:
      raise DataError(message) from None


def explain(error: tf.errors.OpError, shards: Sequence[Shard]) -> Optional[str]:
  """Says what is wrong with which record.

  Args:
    error: what TensorFlow raised while reading or parsing.
    shards: the files that were being read.

  Returns:
    The message for the user, or None when the error is not about data.
  """
  text = error.message
  label = _LABEL.search(text)
  if label:
    return _explain_label(*label.groups())
  named = _NAMED.search(text)
  if named:
    return _explain_feature(named.group("name"), named.group("rest"))
  if _NOT_AN_EXAMPLE.search(text):
    return _find(shards, _first_unparsable) or "a record is no tf.Example"
  if isinstance(error, (tf.errors.DataLossError, tf.errors.NotFoundError)):
    return _find(shards, _first_damage) or f"reading failed: {text.splitlines()[0]}"
  return None


def _explain_label(record: str, task: str, value: str) -> str:
  if int(value) == MISSING_LABEL:
    return (
      f"{record}: label {task!r} is missing. Write it, or let missing labels count as negatives "
      "with --set train_data.missing_labels=zero"
    )
  return f"{record}: label {task!r} is {value}, allowed: 0 or 1"


def _explain_feature(record: str, rest: str) -> str:
  key = _KEY.search(rest)
  detail = rest.split("\n")[0].split("[[")[0].strip().rstrip(".")
  what = f"feature {key.group('key')!r}" if key else "a feature"
  return f"{record}: {what} is not what the schema says: {detail}"


def _find(shards: Sequence[Shard], problem_of) -> Optional[str]:  # noqa: ANN001
  for shard in shards:
    problem = problem_of(shard)
    if problem:
      return problem
  return None


def _first_damage(shard: Shard) -> Optional[str]:
  records = tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)
  position = 0
  try:
    for _ in records:
      position += 1
  except tf.errors.NotFoundError:
    return f"{shard.path}: the file has vanished"
  except tf.errors.OpError as error:
    detail = error.message.split("[Op:")[0].split("{{")[0].strip()
    return (
      f"{shard.path}: record {position}: the file is damaged ({detail}); the {position} record(s) "
      "before it are readable. Write the file again or remove it"
    )
  return None


def _first_unparsable(shard: Shard) -> Optional[str]:
  records = tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)
  for position, record in enumerate(records.as_numpy_iterator()):
    try:
      tf.train.Example.FromString(record)
    except Exception as error:  # noqa: BLE001 - protobuf's DecodeError differs by version.
      return f"{shard.path}: record {position}: no tf.Example ({error})"
  return None

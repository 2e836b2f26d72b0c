"""After reading packed records failed: which file, which record, what is wrong with it."""

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Optional

import tensorflow as tf

from tfrecords import diagnosis
from tfrecords.errors import DataError
from tfrecords.packed import layout
from tfrecords.packed.files import PackedFiles
from tfrecords.shards import Shard

_AGAIN = "Pack the records again with //tfrecords:pack"
_EXAMPLE = re.compile(r"\brecord#(\d+):(\d+)\b")
# What checks of single examples say; everything else is about a block.
_OF_EXAMPLES = ("label missing", "probability missing")
_SHOWN_VALUES = re.compile(r"assertion failed: (.*)")


class PackedExplained:
  """A context that turns TensorFlow's reading errors into DataErrors with file and record.

  Args:
    shards: the files being read; only looked at after a failure.
    files: what they hold.
    key: the data section's path in the configuration, for the messages.
  """

  def __init__(self, shards: Sequence[Shard], files: PackedFiles, key: str):
    self._shards, self._files, self._key = shards, files, key

  def __enter__(self) -> "PackedExplained":
    return self

  def __exit__(
    self,
    kind: Optional[type],
    error: Optional[BaseException],
    traceback: Optional[TracebackType],
  ) -> None:
    if isinstance(error, (tf.errors.OpError, UnicodeDecodeError)):
      message = self._explain(error)
      if message:
        raise DataError(message) from None

  def _explain(self, error: diagnosis.ReadingError) -> Optional[str]:
    text = str(getattr(error, "message", "") or "")
    example = _EXAMPLE.search(text)
    if example and any(words in text for words in _OF_EXAMPLES):
      return self._explain_example(int(example.group(1)), int(example.group(2)), text)
    problems = (
      diagnosis.unopenable(shard) or diagnosis.damage(shard) or self._foreign(shard)
      for shard in self._shards
    )
    found = next(filter(None, problems), None)
    is_damage = isinstance(error, tf.errors.DataLossError)
    if found or not is_damage:
      return found
    return f"{self._key}: reading failed, but every file can be read now; try again"

  def _explain_example(self, source: int, position: int, text: str) -> str:
    path = self._files.sources[source]
    found = _SHOWN_VALUES.search(text)
    what = (found.group(1) if found else text.split("\n")[0]).replace(
      f"record#{source}:{position}", ""
    )
    return (
      f"{self._key}: the example packed from {path}: record {position}: {' '.join(what.split())}. "
      f"Mend that record and pack again, or let missing labels count as negatives with --set "
      f"{self._key}.missing_labels=zero"
    )

  def _foreign(self, shard: Shard) -> Optional[str]:
    """Returns what is wrong with the first record that is no packed one, if there is any."""
    arrays = [each.array for each in self._files.manifest.arrays]
    records = tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)
    for position, record in enumerate(records):
      try:
        layout.decode(record, arrays, self._files.manifest.rows, tf.constant(""))
      except (tf.errors.OpError, UnicodeDecodeError):
        return f"{shard.path}: record {position}: is no packed record of this folder. {_AGAIN}"
    return None

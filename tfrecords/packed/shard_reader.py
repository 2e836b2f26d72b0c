"""Features of packed shards in their order, for who knows what to read by name alone."""

from collections.abc import Sequence

import tensorflow as tf

from tfrecords import diagnosis
from tfrecords.packed import layout
from tfrecords.packed.diagnosis import PackedExplained
from tfrecords.packed.files import PackedFiles
from tfrecords.packed.manifest import FEATURE, PackedArray
from tfrecords.record_source import numbered_records
from tfrecords.shards import Shard


class ShardReader:
  """Reads features of packed shards; no configuration says how they came about.

  Args:
    shards: the files.
    key: the configuration key or flag they come from, for the messages.

  Attributes:
    features: the array of each feature that was packed, by name inside the model.

  Raises:
    DataError: a folder has no usable `packed.json`, or a file is not what it says.
  """

  def __init__(self, shards: Sequence[Shard], key: str):
    self._shards, self._key = list(shards), key
    self._files = PackedFiles(self._shards, key)
    manifest = self._files.manifest
    self.features: dict[str, PackedArray] = {
      name: manifest.array(FEATURE + name) for name in manifest.names(FEATURE)
    }

  def batches(self, shard: Shard, names: Sequence[str], size: int) -> tf.data.Dataset:
    """Returns batches of a shard's examples in their order, the last one as large as it may be.

    Args:
      shard: one of the files.
      names: features, at least one.
      size: examples a batch.

    Returns:
      A dataset of tensors [batch, width] by name: float32, bfloat16 made float32, or int64.
    """
    arrays = [self.features[name].array for name in names]
    columns = layout.columns(arrays)
    max_rows = self._files.manifest.rows

    def decode(record: tf.Tensor, position: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
      block = layout.decode(record, arrays, max_rows, diagnosis.record_names(number, position))
      found = {}
      for name, array in zip(names, arrays):
        dtype, first, end = columns[array.name]
        values = block[dtype][:, first:end]
        found[name] = tf.cast(values, tf.float32) if dtype == "bfloat16" else values
      return found

    number = tf.constant(self._shards.index(shard), tf.int64)
    records = numbered_records(number, shard.path, shard.compression)
    blocks = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return blocks.rebatch(size).prefetch(1)

  def bytes_an_example(self, shard: Shard) -> float:
    """Returns how many bytes of a shard's file an example takes."""
    entry = self._files.entries[self._shards.index(shard)]
    return entry.size / max(entry.examples, 1)

  def explained(self, shard: Shard) -> PackedExplained:
    """Returns a context in which reading errors become DataErrors that name file and record."""
    return PackedExplained([shard], self._files, self._key)

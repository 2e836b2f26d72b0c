"""Packed records as datasets of examples: shuffled, or in order, like those of any other file."""

from collections.abc import Sequence
from typing import Callable, Optional

import tensorflow as tf

from tfrecords import diagnosis
from tfrecords.config.data import DataConfig
from tfrecords.packed import layout
from tfrecords.packed.files import PackedFiles
from tfrecords.packed.manifest import LABELS, POSITION, RECTIFIED, SOURCE
from tfrecords.packed.selection import Selection
from tfrecords.record_source import FileSource, numbered_files, numbered_records
from tfrecords.sampler import Sampler
from tfrecords.shards import Shard
from tfrecords.worker_share import WHOLE, WorkerShare

Block = dict[str, tf.Tensor]


class PackedSource(FileSource):
  """Reads packed files.

  Datasets are of examples as `tfrecords.packed.layout.decode` lays out a block's rows: a dict
  of tensors [columns] by dtype.

  Args:
    config: the data section.
    shards: its files.
    files: what they hold.
    selection: what is read of it.
    sampler: leaves examples out on purpose: those it would leave out of the records packed.
    share: which examples of each file are read.
  """

  def __init__(
    self,
    config: DataConfig,
    shards: Sequence[Shard],
    files: PackedFiles,
    selection: Selection,
    sampler: Sampler,
    share: WorkerShare = WHOLE,
  ):
    super().__init__(config, shards, share)
    self._packed, self._selection, self._sampler = files, selection, sampler
    self._columns = layout.columns(selection.arrays)

  def in_order(self) -> tf.data.Dataset:
    """Returns every example, file after file; blocks are decoded in parallel."""
    return self._blocks_in_order().unbatch()

  def batches_in_order(self, size: int) -> tf.data.Dataset:
    """Returns batches of examples in that order; faster than making them of `in_order`."""
    return self._blocks_in_order().rebatch(size)

  def batches_of_file(
    self,
    number: tf.Tensor,
    path: tf.Tensor,
    compression: tf.Tensor,
    size: int,
    first: Optional[tf.Tensor] = None,
  ) -> tf.data.Dataset:
    """See FileSource; blocks need not be taken apart where nothing is left out."""
    if first is not None:
      return super().batches_of_file(number, path, compression, size, first)
    return self._blocks(numbered_records(number, path, compression)).rebatch(size)

  def _blocks_in_order(self) -> tf.data.Dataset:
    return self._blocks(numbered_files(self._files).flat_map(numbered_records))

  def count(self, at_most: int) -> int:
    """Returns how many examples there are, up to a number."""
    if not self._sampler.is_active:
      return min(self._packed.examples // self._share.count, at_most)
    return sum(1 for _ in self.in_order().take(at_most).prefetch(tf.data.AUTOTUNE))

  def parse(
    self, rows: Block
  ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    """Takes a batch of examples apart.

    Args:
      rows: tensors [batch, columns] by dtype.

    Returns:
      features, probabilities and labels as read, [batch, width] by name; what rectification made of
      labels, by name; position and file of the record an example is from, int64 [batch] each.
    """
    chosen = self._selection
    batch = {
      name: self._take(rows, array)
      for name, array in {**chosen.features, **chosen.probabilities}.items()
    }
    rectified = {}
    for task, column in chosen.labels.items():
      batch[task] = self._take(rows, LABELS)[:, column : column + 1]
      if task in chosen.rectified:
        rectified[task] = self._take(rows, RECTIFIED)[:, column : column + 1]
    return batch, rectified, self._take(rows, POSITION)[:, 0], self._take(rows, SOURCE)[:, 0]

  def _read(self, number: tf.Tensor, path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
    blocks = self._blocks(numbered_records(number, path, compression))
    return self._dealt(blocks.unbatch(), number)

  def _interleaved(
    self,
    files: tf.data.Dataset,
    read: Callable[..., tf.data.Dataset],
    side_by_side: int,
    at_a_time: int,
  ) -> tf.data.Dataset:
    # Blocks are decoded in parallel; to hand each example from thread to thread costs more than to
    # take it out of its block.
    return files.interleave(read, cycle_length=side_by_side, block_length=at_a_time)

  def _blocks(self, records: tf.data.Dataset) -> tf.data.Dataset:
    return records.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

  def _decode(self, record: tf.Tensor, position: tf.Tensor, number: tf.Tensor) -> Block:
    name = diagnosis.record_names(number, position)
    block = layout.decode(record, self._selection.arrays, self._packed.manifest.rows, name)
    block["int64"] = self._with_global_sources(block["int64"], number)
    return self._sampled(block)

  def _with_global_sources(self, integers: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    if not any(self._packed.first_sources):
      return integers
    _, column, _ = self._columns[SOURCE]
    first = tf.gather(tf.constant(self._packed.first_sources, tf.int64), number)
    return integers + first * tf.one_hot(column, integers.shape[1], dtype=tf.int64)

  def _sampled(self, block: Block) -> Block:
    if not self._sampler.is_active:
      return block
    sources = self._take(block, SOURCE)[:, 0]
    names = tf.gather(tf.constant(self._packed.sources), sources)
    labels = self._take(block, LABELS) if self._sampler.labels else None
    chosen = {
      task: labels[:, self._selection.labels[task] : self._selection.labels[task] + 1]
      for task in self._sampler.labels
    }
    kept = self._sampler.kept(names, self._take(block, POSITION)[:, 0], chosen)
    return {kind: tf.boolean_mask(rows, kept) for kind, rows in block.items()}

  def _take(self, rows: Block, array: str) -> tf.Tensor:
    dtype, first, end = self._columns[array]
    return rows[dtype][:, first:end]


def in_one_thread(batches: tf.data.Dataset) -> tf.data.Dataset:
  """Keeps each operation in a thread of its own: they are short, and run side by side already."""
  options = tf.data.Options()
  options.threading.max_intra_op_parallelism = 1
  return batches.with_options(options)

"""Every record exactly once from a tf.data service, also when it loses a worker: for evaluation.

A service hands each file to one worker. A worker that ends takes with it what it had not sent yet,
and one that is started again goes on with other files: TensorFlow promises "at most once". So each
batch that is sent says which file it is from and where in it, and each file's end is sent, too.
Whatever has not come by the end of the data, this process then reads itself.
"""

import sys
from collections.abc import Mapping
from typing import Callable, Union

import tensorflow as tf

from tfrecords.empty_batch import empty_batch
from tfrecords.record_source import FileSource, numbered_files, rebatched

_Raw = Union[tuple[tf.Tensor, ...], Mapping[str, tf.Tensor]]


class EachRecordOnce:
  """The way of a section's records through a service.

  Args:
    source: reads the files.
    batch_size: of the batches that come out in the end; the last one may be smaller.
    parse: makes a batch of what `source` reads; works on no records, too.
    num_parallel_calls: how many batches are parsed at a time.
    key: the data section's path in the configuration, for the messages.
  """

  def __init__(
    self,
    source: FileSource,
    batch_size: int,
    parse: Callable,
    num_parallel_calls: int,
    key: str,
  ):
    self._source, self._batch_size, self._key = source, batch_size, key
    self._parse, self._num_parallel_calls = parse, num_parallel_calls

  def marked(self) -> tf.data.Dataset:
    """Returns what workers make: batches of one file each, with marks.

    Elements are (batch, mark). A mark is int64 [3]: the file's number, how many examples of it
    came before, and how many are in this batch: 0 at the file's end.
    """
    marked = numbered_files(self._source.files).flat_map(self._marked_file)
    return marked.map(
      lambda raw, mark: (self._parsed(raw), mark),
      num_parallel_calls=self._num_parallel_calls,
      deterministic=True,
    )

  def completed(self, served: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the batches that come of what a service makes of `marked`, nothing missing.

    Args:
      served: elements of `marked`, those of a file in their order, some perhaps missing.
    """
    num_files = len(self._source.files)
    end = tf.constant([num_files, 0, 0], tf.int64)
    nothing = tf.data.Dataset.from_tensors((empty_batch(served.element_spec[0]), end))
    # How many examples of each file have come, and whether its end has; the last is no file.
    state = (tf.zeros([num_files + 1], tf.int64), tf.zeros([num_files + 1], tf.bool))
    accounted = served.concatenate(nothing).scan(state, self._account)
    return rebatched(accounted.flat_map(self._with_rest), self._batch_size)

  def _marked_file(
    self, number: tf.Tensor, path: tf.Tensor, compression: tf.Tensor
  ) -> tf.data.Dataset:
    batches = self._source.batches_of_file(number, path, compression, self._batch_size)
    end = tf.data.Dataset.from_tensors(empty_batch(batches.element_spec))

    def mark(before: tf.Tensor, raw: _Raw) -> tuple:
      rows = tf.shape(tf.nest.flatten(raw)[0], tf.int64)[0]
      return before + rows, (raw, tf.stack([number, before, rows]))

    return batches.concatenate(end).scan(tf.constant(0, tf.int64), mark)

  def _account(self, state: tuple[tf.Tensor, tf.Tensor], element: tuple) -> tuple:
    """Takes note of a batch; returns whether to use it, and (file, examples) to go on from."""
    (came, ended), (batch, mark) = state, element
    number, before, rows = tf.unstack(mark)
    # What comes twice, or behind something that got lost on its way, is left out.
    fits = came[number] == before
    place = tf.reshape(number, [1, 1])
    came = tf.tensor_scatter_nd_add(came, place, [tf.where(fits, rows, tf.zeros_like(rows))])
    ends = tf.logical_or(ended[number], tf.logical_and(fits, rows == 0))
    ended = tf.tensor_scatter_nd_update(ended, place, [ends])
    missing = tf.logical_and(tf.logical_not(ended[:-1]), ended[-1])
    numbers = tf.where(missing)[:, 0]
    rest = tf.stack([numbers, tf.gather(came, numbers)], axis=1)
    with tf.control_dependencies([tf.cond(tf.reduce_any(missing), self._tell(rest), tf.no_op)]):
      return (came, ended), (batch, fits, tf.identity(rest))

  def _tell(self, rest: tf.Tensor) -> Callable[[], tf.Operation]:
    return lambda: tf.print(
      f"{self._key}: a worker of the data service was lost: what it owed of",
      tf.shape(rest)[0],
      "file(s) is read in this process, so that no record is missing",
      output_stream=sys.stdout,
    )

  def _with_rest(self, batch: tuple, fits: tf.Tensor, rest: tf.Tensor) -> tf.data.Dataset:
    chosen = tf.data.Dataset.from_tensors(batch).take(tf.cast(fits, tf.int64))
    missing = tf.data.Dataset.from_tensor_slices(rest).flat_map(self._rest_of_file)
    return chosen.concatenate(missing.map(self._parse))

  def _rest_of_file(self, number_and_first: tf.Tensor) -> tf.data.Dataset:
    # Not unstacked: TensorFlow 2.16 crashes where a skip's count is an operation's second output.
    number, first = number_and_first[0], number_and_first[1]
    path = tf.gather([file.path for file in self._source.files], number)
    compression = tf.gather([file.compression for file in self._source.files], number)
    return self._source.batches_of_file(number, path, compression, self._batch_size, first)

  def _parsed(self, raw: _Raw) -> tuple:
    return self._parse(*raw) if isinstance(raw, tuple) else self._parse(raw)

"""Files of scores, Parquet or TFRecord, that appear whole or not at all."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Callable

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow as tf

from tfrecords import files
from tfrecords.errors import StorageError, reason
from tfrecords.schema import Feature
from tfrecords.serialization import serialize

# format -> ending of its files
ENDINGS = {"parquet": ".parquet", "tfrecord": ".gz"}
SCORE = "score"
_ROWS_A_GROUP = 1 << 16


@dataclass(frozen=True)
class ScoredBatch:
  """Consecutive records of a file, scored.

  Attributes:
    ids: by name, int64 or bytes [n], masked where a record has none.
    scores: by column, float32 [n]: `score`, then each task's probability.
  """

  ids: Mapping[str, np.ma.MaskedArray]
  scores: Mapping[str, np.ndarray]

  def __len__(self):
    return len(self.scores[SCORE])


Write = Callable[[ScoredBatch], None]


@contextmanager
def score_file(path: str, ids: Sequence[Feature], tasks: Sequence[str]) -> Iterator[Write]:
  """A context that writes a file of scores and gives it its name in the end.

  The bytes depend on the rows alone, not on how they come in batches.

  Args:
    path: the final name; its ending, one of ENDINGS, decides on the format.
    ids: the ids' columns.
    tasks: the probabilities' columns.

  Yields:
    A function that appends a batch.

  Raises:
    StorageError: the file cannot be written. Nothing is left of it then.
  """
  write_to = _parquet if path.endswith(ENDINGS["parquet"]) else _tf_records
  try:
    files.make_folder(os.path.dirname(path))
    with files.writing(path) as unfinished, write_to(unfinished, ids, tasks) as write:
      yield write
  except (tf.errors.OpError, OSError, pyarrow.ArrowException) as error:
    raise StorageError(
      f"{path}: cannot be written: {reason(error)}. Choose a folder you may write to, on a disk "
      "with room left; what is finished is not scored again"
    ) from None


@contextmanager
def _parquet(path: str, ids: Sequence[Feature], tasks: Sequence[str]) -> Iterator[Write]:
  types = {"int64_list": pyarrow.int64(), "bytes_list": pyarrow.binary()}
  fields = [(feature.name, types[feature.dtype]) for feature in ids]
  fields += [(name, pyarrow.float32()) for name in (SCORE, *tasks)]
  schema = pyarrow.schema(fields)
  rows: list[pyarrow.RecordBatch] = []

  def flush(writer: pyarrow.parquet.ParquetWriter, all_rows: bool) -> None:
    table = pyarrow.Table.from_batches(rows, schema)
    n_written = len(table) if all_rows else len(table) // _ROWS_A_GROUP * _ROWS_A_GROUP
    if n_written:
      writer.write_table(table.slice(0, n_written), _ROWS_A_GROUP)
    rows[:] = table.slice(n_written).combine_chunks().to_batches()

  def write_to(writer: pyarrow.parquet.ParquetWriter) -> Write:
    def write(batch: ScoredBatch) -> None:
      columns = [_id_column(batch.ids[feature.name], types[feature.dtype]) for feature in ids]
      columns += [pyarrow.array(batch.scores[name]) for name in (SCORE, *tasks)]
      rows.append(pyarrow.record_batch(columns, schema=schema))
      if sum(map(len, rows)) >= _ROWS_A_GROUP:
        flush(writer, all_rows=False)

    return write

  with ExitStack() as stack:
    file = stack.enter_context(tf.io.gfile.GFile(path, "wb"))
    sink = stack.enter_context(pyarrow.PythonFile(_Sink(file), "w"))
    writer = stack.enter_context(pyarrow.parquet.ParquetWriter(sink, schema))
    yield write_to(writer)
    flush(writer, all_rows=True)


def _id_column(ids: np.ma.MaskedArray, dtype: pyarrow.DataType) -> pyarrow.Array:
  return pyarrow.array(ids.data, dtype, mask=np.ma.getmaskarray(ids))


class _Sink:
  """A file of TensorFlow's as pyarrow wants one."""

  closed = False

  def __init__(self, file: tf.io.gfile.GFile):
    self.write, self.flush, self.tell = file.write, file.flush, file.tell

  def close(self) -> None:
    self.closed = True


@contextmanager
def _tf_records(path: str, ids: Sequence[Feature], tasks: Sequence[str]) -> Iterator[Write]:
  scores = [Feature(name, name, "float_list", 1) for name in (SCORE, *tasks)]
  features = {feature.name: feature for feature in (*ids, *scores)}
  # The default level takes far longer, for hardly less.
  options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
  with tf.io.TFRecordWriter(path, options) as writer:

    def write(batch: ScoredBatch) -> None:
      columns = {name: _rows(column) for name, column in batch.ids.items()}
      columns.update({name: values[:, np.newaxis] for name, values in batch.scores.items()})
      for record in serialize(columns, features):
        writer.write(record)

    yield write


def _rows(column: np.ma.MaskedArray) -> list[np.ndarray]:
  """Returns each value as an array [1], [0] where it is masked."""
  values, mask = column.data, np.ma.getmaskarray(column)
  return [values[row : row + (not mask[row])] for row in range(len(values))]

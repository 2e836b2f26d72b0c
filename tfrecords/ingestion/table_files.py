"""Which files a table is made of, and the pieces that workers read side by side."""

import glob
import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords import paths
from tfrecords.errors import ConfigError, DataError, reason
from tfrecords.ingestion.mapping import Mapping

_GZIP_MAGIC = b"\x1f\x8b"
_BYTES_A_CHUNK = 64 << 20
_ROWS_A_CHUNK = 1 << 17


@dataclass(frozen=True)
class TableFile:
  """One file of the table.

  Attributes:
    path: where it lies.
    n_bytes: how long it is.
    is_gzip: it is a text compressed by gzip.
  """

  path: str
  n_bytes: int
  is_gzip: bool = False


@dataclass(frozen=True)
class Chunk:
  """What one worker reads at a time.

  Attributes:
    file: the file's number.
    begin, end: row groups of a Parquet file; else bytes, the lines that begin among them.
    first_row: the number of the rows before it in the file, or -1 if unknown.
    n_bytes: about how much there is to read.
  """

  file: int
  begin: int
  end: int
  first_row: int
  n_bytes: int


def find_files(mapping: Mapping, inputs: Sequence[str], key: str) -> list[TableFile]:
  """Lists the files that globs match, sorted by path.

  Args:
    mapping: how they are written.
    inputs: the globs.
    key: where they come from, for the messages.

  Raises:
    ConfigError: there is no glob.
    DataError: one matches nothing, or a file is empty.
  """
  if not inputs:
    raise ConfigError("inputs: found none in the mapping; name the files with --input=GLOB")
  found = []
  for pattern in inputs:
    matching = _matches(paths.resolve(pattern, key))
    if not matching:
      raise DataError(f"{key}: no file matches {pattern!r}. Name the files with --input=GLOB")
    found += matching
  return [_inspect(path, mapping.format) for path in sorted(set(found))]


def chunks_of(mapping: Mapping, files: Sequence[TableFile]) -> list[Chunk]:
  """Parts the files, in order, the same way wherever it runs.

  Raises:
    DataError: a file is no Parquet file.
  """
  chunks: list[Chunk] = []
  for number, file in enumerate(files):
    if mapping.format == "parquet":
      chunks += _row_groups(number, file)
    else:
      whole = mapping.csv is not None and mapping.csv.newlines_in_values
      step = file.n_bytes if file.is_gzip or whole else _BYTES_A_CHUNK
      for begin in range(0, file.n_bytes, step):
        end = min(begin + step, file.n_bytes)
        chunks.append(Chunk(number, begin, end, 0 if begin == 0 else -1, end - begin))
  return chunks


def last_written(file: TableFile) -> int:
  """Returns when a file was last written, in nanoseconds."""
  if not paths.is_remote(file.path):
    return os.stat(file.path).st_mtime_ns
  import tensorflow as tf

  return int(tf.io.gfile.stat(file.path).mtime_nsec)


def open_input(file: TableFile) -> IO[bytes]:
  """Opens a file, local or remote, decompressed.

  Raises:
    DataError: it cannot be opened.
  """
  stream = open_bytes(file.path)
  return gzip.GzipFile(fileobj=stream) if file.is_gzip else stream


def open_bytes(path: str) -> Any:
  """Opens a file, local or remote, as it is.

  Raises:
    DataError: it cannot be opened.
  """
  try:
    if not paths.is_remote(path):
      return open(path, "rb")
    from tfrecords.ingestion.remote_file import open_remote  # Loads TensorFlow.

    return open_remote(path)
  except OSError as error:
    raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def open_parquet(path: str) -> pq.ParquetFile:
  """Opens a Parquet file.

  Raises:
    DataError: it is none, or damaged.
  """
  stream = open_bytes(path)
  try:
    return pq.ParquetFile(stream)
  except (pa.ArrowException, OSError) as error:
    raise DataError(f"{path}: no Parquet file, or damaged: {reason(error)}") from None


def _matches(pattern: str) -> list[str]:
  if paths.is_remote(pattern):
    import tensorflow as tf

    try:
      return [path for path in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(path)]
    except tf.errors.OpError as error:
      raise DataError(f"{pattern}: cannot be listed: {reason(error)}") from None
  return [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]


def _inspect(path: str, file_format: str) -> TableFile:
  with open_bytes(path) as stream:
    try:
      start = stream.read(2)
      n_bytes = stream.seek(0, os.SEEK_END)
    except OSError as error:
      raise DataError(f"{path}: cannot be read: {reason(error)}") from None
  if not n_bytes:
    raise DataError(f"{path}: the file is empty (0 bytes); remove it or write it again")
  return TableFile(path, n_bytes, file_format != "parquet" and start == _GZIP_MAGIC)


def _row_groups(number: int, file: TableFile) -> list[Chunk]:
  """Parts a Parquet file; small row groups go together."""
  chunks, first_row, begin, n_rows, n_bytes = [], 0, 0, 0, 0
  with open_parquet(file.path) as opened:
    metadata = opened.metadata
    for group in range(metadata.num_row_groups):
      n_rows += metadata.row_group(group).num_rows
      n_bytes += metadata.row_group(group).total_byte_size
      if n_rows >= _ROWS_A_CHUNK or group == metadata.num_row_groups - 1:
        chunks.append(Chunk(number, begin, group + 1, first_row, n_bytes))
        first_row, begin, n_rows, n_bytes = first_row + n_rows, group + 1, 0, 0
  return chunks

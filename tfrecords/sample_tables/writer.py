"""Writes sample tables: which kind, in which format, where to."""

import gzip
import io
import os
from collections.abc import Callable

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tfrecords import paths
from tfrecords.errors import ConfigError, StorageError
from tfrecords.ingestion import storage
from tfrecords.ingestion.mapping import load_mapping
from tfrecords.sample_tables.feed import feed_table
from tfrecords.sample_tables.kuairand import kuairand_table
from tfrecords.sample_tables.recsys_challenge import DELIMITER, recsys_challenge_table

KINDS = ("feed", "recsys_challenge", "recsys_challenge_unlabelled", "kuairand")


def write_sample(kind: str, n_rows: int, seed: int, output: str, overwrite: bool = False) -> str:
  """Writes a made-up table; the same arguments give the same bytes.

  Args:
    kind: one of KINDS: CSV, RecSys Challenge files with or without labels, or Parquet.
    n_rows: how many.
    seed: at least 0.
    output: the file; one that ends in .gz is compressed.
    overwrite: replaces a file that is there.

  Returns:
    The file's absolute path.

  Raises:
    ConfigError: an argument cannot be used.
    StorageError: the file is there already, or cannot be written.
  """
  if kind not in KINDS:
    raise ConfigError(f"--kind: found {kind!r}, allowed: {', '.join(KINDS)}")
  for flag, value, least in (("rows", n_rows, 1), ("seed", seed, 0)):
    if value < least:
      raise ConfigError(f"--{flag}: found {value}, allowed: at least {least}")
  path = paths.resolve(output, "--output")
  if storage.exists(path) and not overwrite:
    raise StorageError(f"{path}: already there. Replace it with --overwrite")
  writers: dict[str, Callable[[], bytes]] = {
    "feed": lambda: _csv(feed_table(n_rows, seed)),
    "recsys_challenge": lambda: _plain(recsys_challenge_table(n_rows, seed)),
    "recsys_challenge_unlabelled": lambda: _plain(recsys_challenge_table(n_rows, seed, False)),
    "kuairand": lambda: _parquet(kuairand_table(_kuairand(), n_rows, seed)),
  }
  data = writers[kind]()
  storage.make_folder(os.path.dirname(path))
  storage.write(path, gzip.compress(data, mtime=0) if path.endswith(".gz") else data)
  return path


def _kuairand() -> object:
  folder = os.path.join(paths.workspace_directory(), "configs", "mappings")
  return load_mapping(os.path.join(folder, "kuairand.yaml"))


def _csv(table: pa.Table) -> bytes:
  buffer = io.BytesIO()
  options = pa.csv.WriteOptions(quoting_style="needed")
  pa.csv.write_csv(table, buffer, options)
  return buffer.getvalue()


def _plain(table: pa.Table) -> bytes:
  rows = zip(*(column.to_pylist() for column in table.columns))
  return "".join(DELIMITER.join(row) + "\n" for row in rows).encode()


def _parquet(table: pa.Table) -> bytes:
  buffer = io.BytesIO()
  pq.write_table(table, buffer)
  return buffer.getvalue()

"""Which files a dataset reads, checked before anything reads them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import tensorflow as tf

from tfrecords import paths, record_format
from tfrecords.errors import DataError

_LOOK_AHEAD_THREADS = 16


@dataclass(frozen=True)
class Shard:
  """One TFRecord file.

  Attributes:
    path: where it lies.
    compression: "GZIP", "ZLIB" or "".
  """

  path: str
  compression: str


def find_shards(pattern: str, key: str, num_files_to_keep: int = 0) -> list[Shard]:
  """Lists the files a glob matches, sorted by name, each opened once to see that it holds records.

  Args:
    pattern: a glob on any file system TensorFlow knows.
    key: the configuration key of the pattern, for the messages.
    num_files_to_keep: take only the first files; 0 takes all.

  Raises:
    DataError: nothing matches, or a file is empty or no TFRecord file.
  """
  resolved = paths.resolve(pattern, key)
  try:
    matches = [path for path in tf.io.gfile.glob(resolved) if _is_meant(path, resolved)]
    files = sorted(path for path in matches if not tf.io.gfile.isdir(path))
  except tf.errors.OpError as error:
    raise DataError(f"{key}: {resolved!r} cannot be listed: {error.message}") from None
  if not files and matches:
    raise DataError(
      f"{key}: only folders match {resolved!r}, allowed: a glob of files, such as "
      f"--set {key}={os.path.join(resolved, '*.gz')}"
    )
  if not files:
    raise DataError(
      f"{key}: no file matches {resolved!r}. Give other files with --set {key}=GLOB, or write "
      "random ones there with //tfrecords:generate"
    )
  if num_files_to_keep:
    files = files[:num_files_to_keep]
  return inspect_shards(files)


def _is_meant(path: str, pattern: str) -> bool:
  # As in a shell, `*` leaves hidden files out: half-written shards are among them.
  return not os.path.basename(path).startswith(".") or os.path.basename(pattern).startswith(".")


def inspect_shards(files: Sequence[str]) -> list[Shard]:
  """Opens each file once and recognises its compression.

  Raises:
    DataError: a file cannot be read, is empty, or is no TFRecord file.
  """
  with ThreadPoolExecutor(_LOOK_AHEAD_THREADS) as threads:
    return [Shard(*found) for found in zip(files, threads.map(_compression, files))]


def _compression(path: str) -> str:
  try:
    with tf.io.gfile.GFile(path, "rb") as file:
      prefix = file.read(record_format.PREFIX_BYTES)
  except tf.errors.OpError as error:
    raise DataError(f"{path}: cannot be read: {error.message}; see to it or remove it") from None
  is_whole = len(prefix) < record_format.PREFIX_BYTES
  return record_format.compression_of(prefix, os.fspath(path), is_whole)

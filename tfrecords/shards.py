"""Which files a dataset reads, checked before anything reads them."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Optional, Union

import tensorflow as tf

from tfrecords import dated_folders, paths, record_format, record_walk, remote_storage
from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError, DataError
from tfrecords.skipped_data import SkippedData

# Lies beside packed records and describes them, see `tfrecords.packed.manifest`.
PACKED_MANIFEST = "packed.json"

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


def shards_of(
  config: DataConfig, key: str = "train_data", skipped: Optional[SkippedData] = None
) -> list[Shard]:
  """Lists the files a data section reads, sorted by name, each opened once.

  Args:
    config: the section; it says where the files lie, and how many of them to keep.
    key: the section's path in the configuration, for the messages.
    skipped: takes note of files that cannot be used, instead of an error.

  Raises:
    ConfigError: a path needs an environment variable that is not set.
    DataError: there are no files, too many folders of a range are missing or empty, or a file is
      no TFRecord file.
  """
  return inspect_shards(files_of(config, key), skipped)


def files_of(config: DataConfig, key: str = "train_data") -> list[str]:
  """Lists the files a data section reads, sorted by name, without opening any.

  Args:
    config: the section; it says where the files lie, and how many of them to keep.
    key: the section's path in the configuration, for the messages.

  Raises:
    ConfigError: a path needs an environment variable that is not set.
    DataError: there are no files, or too many folders of a range are missing or empty.
  """
  key, keep = f"{key}.{config.inputs_key}", config.num_files_to_keep or 0
  if config.inputs is not None:
    return find_files(config.inputs, key, keep)
  hourly, daily = config.explicit_datetime_inputs, config.explicit_date_inputs
  if hourly is not None:
    root = paths.resolve(hourly.data_root, f"{key}.data_root")
    end = dated_folders.parse_hour(hourly.end_datetime)
    folders = dated_folders.hourly_folders(root, end, hourly.hours)
    tolerance, tolerance_key = hourly.num_missing_hours_tol, f"{key}.num_missing_hours_tol"
  else:
    root = paths.resolve(daily.data_root, f"{key}.data_root")
    end = dated_folders.parse_date(daily.end_date)
    folders = dated_folders.daily_folders(root, end, daily.days)
    tolerance, tolerance_key = daily.num_missing_days_tol, f"{key}.num_missing_days_tol"
  with ThreadPoolExecutor(_LOOK_AHEAD_THREADS) as threads:
    patterns = [os.path.join(folder, "*") for folder in folders]
    files = list(threads.map(lambda pattern: _matches(pattern, key)[0], patterns))
  missing = [folder for folder, found in zip(folders, files) if not found]
  if len(missing) > tolerance:
    raise DataError(
      f"{key}: {len(missing)} of {len(folders)} folders are missing or hold no file, allowed: "
      f"{tolerance}: {', '.join(missing)}. Fill them, or go without them with --set "
      f"{tolerance_key}={len(missing)}"
    )
  if len(missing) == len(folders):
    raise DataError(
      f"{key}: no folder holds a file, allowed: at least one that does: {', '.join(missing)}. "
      f"Give other folders with --set {key}.data_root=PATH"
    )
  every = sorted(path for found in files for path in found)
  return every[:keep] if keep else every


def require_unpacked(files: Sequence[Shard], key: str) -> None:
  """Refuses packed records where those of the schema are expected: every feature would be missing.

  Args:
    files: what is read as records of the schema.
    key: the configuration key or flag they come from, for the message.

  Raises:
    DataError: a folder of theirs holds the manifest of packed records.
  """
  how = "" if key.startswith("--") else f" with --set {key}.packed=true"
  for folder, is_packed in _packed_folders(files).items():
    if is_packed:
      raise DataError(
        f"{key}: {folder} holds packed records ({PACKED_MANIFEST} is there), allowed here: those "
        f"that the schema describes. Training, evaluation, calibration and scoring read packed "
        f"ones{how}; everything else needs those they were made of"
      )


def are_packed(files: Sequence[Shard], key: str) -> bool:
  """Tells whether files are packed records.

  Args:
    files: the files, at least one.
    key: the configuration key or flag they come from, for the message.

  Raises:
    DataError: some are, and some are not.
  """
  found = _packed_folders(files)
  if len(set(found.values())) > 1:
    packed, other = (
      [folder for folder, is_one in found.items() if is_one == kind][0] for kind in (True, False)
    )
    raise DataError(
      f"{key}: {packed} holds packed records ({PACKED_MANIFEST} is there) and {other} does not, "
      "allowed: files of one kind. Take them one after the other"
    )
  return all(found.values())


def _packed_folders(files: Sequence[Shard]) -> dict[str, bool]:
  """Returns of each folder of files whether it holds the manifest of packed records."""
  folders = list(dict.fromkeys(os.path.dirname(file.path) for file in files))
  manifests = [os.path.join(folder, PACKED_MANIFEST) for folder in folders]
  with ThreadPoolExecutor(_LOOK_AHEAD_THREADS) as threads:
    return dict(zip(folders, threads.map(tf.io.gfile.exists, manifests)))


def find_shards(
  pattern: str, key: str, num_files_to_keep: int = 0, skipped: Optional[SkippedData] = None
) -> list[Shard]:
  """Lists the files a glob matches, sorted by name, each opened once to see that it holds records.

  Args:
    pattern: a glob on any file system TensorFlow knows.
    key: the configuration key of the pattern, for the messages.
    num_files_to_keep: take only the first files; 0 takes all.
    skipped: takes note of files that cannot be used, instead of an error.

  Raises:
    ConfigError: a glob of http:// files, which cannot be listed.
    DataError: nothing matches, or a file is empty or no TFRecord file.
  """
  return inspect_shards(find_files(pattern, key, num_files_to_keep), skipped)


def find_files(pattern: str, key: str, num_files_to_keep: int = 0) -> list[str]:
  """Lists the files a glob matches, sorted by name, without opening any.

  Args:
    pattern: a glob on any file system TensorFlow knows.
    key: the configuration key of the pattern, for the messages.
    num_files_to_keep: take only the first files; 0 takes all.

  Raises:
    DataError: nothing matches, or only folders do.
  """
  resolved = paths.resolve(pattern, key)
  files, folders = _matches(resolved, key)
  if not files and folders:
    raise DataError(
      f"{key}: only folders match {resolved!r}, allowed: a glob of files, such as "
      f"--set {key}={os.path.join(resolved, '*.gz')}"
    )
  if not files:
    raise DataError(
      f"{key}: no file matches {resolved!r}{remote_storage.hint(resolved)}. Give other files with "
      f"--set {key}=GLOB, or write random ones there with //tfrecords:generate"
    )
  return files[:num_files_to_keep] if num_files_to_keep else files


def _matches(pattern: str, key: str) -> tuple[list[str], list[str]]:
  """Returns the files and the folders that a resolved glob means, each sorted."""
  try:
    if not remote_storage.can_list(pattern):
      if re.search(r"[*?\[]", pattern):
        raise ConfigError(
          f"{key}: found {pattern!r}, allowed: the address of one file, since HTTP lists none"
        )
      return ([pattern] if tf.io.gfile.exists(pattern) else []), []
    matches = sorted(path for path in tf.io.gfile.glob(pattern) if _is_meant(path, pattern))
    folders = [path for path in matches if tf.io.gfile.isdir(path)]
  except tf.errors.OpError as error:
    raise DataError(f"{key}: {pattern!r} cannot be listed: {error.message}") from None
  return sorted(set(matches) - set(folders)), folders


def _is_meant(path: str, pattern: str) -> bool:
  if os.path.basename(path) == PACKED_MANIFEST:
    return False
  # As in a shell, `*` leaves hidden files out: half-written shards are among them.
  return not os.path.basename(path).startswith(".") or os.path.basename(pattern).startswith(".")


def inspect_shards(files: Sequence[str], skipped: Optional[SkippedData] = None) -> list[Shard]:
  """Opens each file once and recognises its compression.

  Args:
    files: where they lie.
    skipped: takes note of the files that hold no record that can be read, instead of an error.

  Raises:
    DataError: a file cannot be read, is empty, or is no TFRecord file; with `skipped`, if that
      is so of all of them.
  """

  def inspect_shard(path: str) -> Union[Shard, DataError]:
    try:
      return Shard(path, compression(path, cut_short_is_fine=skipped is not None))
    except DataError as error:
      # Behind a damaged beginning there may be records for those who go on.
      found = record_walk.compression_of_damaged(path) if skipped is not None else None
      return error if found is None else Shard(path, found)

  with ThreadPoolExecutor(_LOOK_AHEAD_THREADS) as threads:
    inspected = list(threads.map(inspect_shard, files))
  for path, found in zip(files, inspected):
    if isinstance(found, DataError):
      if skipped is None:
        raise found
      skipped.add_file(path, str(found))
  shards = [found for found in inspected if isinstance(found, Shard)]
  if not shards and skipped is not None:
    raise skipped.nothing_left()
  return shards


def compression(path: str, cut_short_is_fine: bool = False) -> str:
  """Opens a file and returns its compression, as `tf.data.TFRecordDataset` takes it.

  Args:
    path: where it lies.
    cut_short_is_fine: a small file may end too early, after the first record's header.

  Raises:
    DataError: it cannot be read, is empty, cut short, or no TFRecord file.
  """
  try:
    with tf.io.gfile.GFile(path, "rb") as file:
      prefix = file.read(record_format.PREFIX_BYTES)
  except tf.errors.OpError as error:
    raise DataError(f"{path}: cannot be read: {error.message}; see to it or remove it") from None
  is_whole = len(prefix) < record_format.PREFIX_BYTES and not cut_short_is_fine
  return record_format.compression_of(prefix, os.fspath(path), is_whole)


def names_below_inputs(shards: Sequence[Shard], config: DataConfig, key: str) -> list[str]:
  """Returns each file's path below the folder that the section names.

  They stay the same when that folder moves, or when files come or go.

  Args:
    shards: the section's files.
    config: the section.
    key: its path in the configuration, for the messages.
  """
  dated = config.explicit_datetime_inputs or config.explicit_date_inputs
  location = config.inputs if dated is None else os.path.join(dated.data_root, "*")
  fixed = re.split(r"[*?\[]", paths.resolve(location, f"{key}.{config.inputs_key}"))[0]
  folder = fixed[: fixed.rfind("/") + 1]
  return [shard.path.removeprefix(folder) for shard in shards]

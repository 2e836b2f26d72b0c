"""Reads a data section's records once and writes the statistics of their dense features."""

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords import diagnosis, parsing, paths, schema, shards
from tfrecords.column_statistics import ColumnStatistics
from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.folders import make_writable
from tfrecords.reading_progress import ReadingProgress
from tfrecords.record_check import RecordCheck
from tfrecords.record_source import records_of
from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.statistics_file import FORMATS, Format, write_statistics

# Not the section's batch size: the same files give the same bytes whatever trains on them.
_BATCH_SIZE = 128
_WILDCARD = re.compile(r"[*?\[{]")
_ENDINGS = {"json": ".statistics.json", "rows": ".statistics.jsonl"}


@dataclass(frozen=True)
class Analysis:
  """What `analyze` found.

  Attributes:
    path: the statistics file.
    file_format: "json" or "rows".
    n_examples: how many were read.
    n_shards: of how many files.
    statistics: by the feature's name in the record.
  """

  path: str
  file_format: Format
  n_examples: int
  n_shards: int
  statistics: Mapping[str, ColumnStatistics]


def analyze(
  config: DataConfig,
  output_path: Optional[str] = None,
  file_format: Format = "json",
  max_examples: Optional[int] = None,
  overwrite: bool = False,
  key: str = "train_data",
) -> Analysis:
  """Writes the statistics of every dense numeric feature a data section reads, labels apart.

  All columns of the records count, before `preprocess`: one file serves every truncation. The file
  appears whole or not at all; the same records give the same bytes.

  Args:
    config: the data section.
    output_path: the file; beside the folder of the records when None, see `default_output_path`.
    file_format: "json" or "rows", see `tfrecords.statistics_file`.
    max_examples: reads only the first records, in the order of the files' names; all when None.
    overwrite: replaces a file that is there.
    key: the section's path in the configuration, for the messages.

  Raises:
    ConfigError: an argument cannot be used, or the section does not fit its schema.
    DataError: the schema file or the records cannot be used.
    StorageError: the file is there already, or cannot be written.
  """
  if file_format not in FORMATS:
    raise ConfigError(f"--format: found {file_format!r}, allowed: {', '.join(FORMATS)}")
  if max_examples is not None and max_examples < 1:
    raise ConfigError(f"--max_examples: found {max_examples}, allowed: at least 1")
  features = _dense_features(config, key)
  path = paths.resolve(
    output_path or default_output_path(config, file_format, key), "--output_path"
  )
  _prepare_output(path, _glob_of(config, key), overwrite)
  files = shards.shards_of(config, key)
  shards.require_unpacked(files, key)
  statistics = {name: ColumnStatistics(feature.length) for name, feature in features.items()}
  with diagnosis.Explained(files, RecordCheck(features, key=key), key):
    for batch in _batches(files, features, max_examples):
      for name, columns in statistics.items():
        columns.add(batch[name])
  n_examples = next(iter(statistics.values())).count
  if not n_examples:
    raise DataError(f"{key}.{config.inputs_key}: the {len(files)} file(s) hold no record")
  by_record_name = {features[name].record_name: found for name, found in statistics.items()}
  write_statistics(path, by_record_name, file_format)
  return Analysis(path, file_format, n_examples, len(files), by_record_name)


def default_output_path(
  config: DataConfig, file_format: Format = "json", key: str = "train_data"
) -> str:
  """Returns FOLDER.statistics.json (.jsonl for rows), FOLDER being where the records lie.

  Not inside the folder: there a glob such as FOLDER/* would take the file for records.

  Raises:
    ConfigError: the folder has no name.
  """
  ranges = config.explicit_datetime_inputs or config.explicit_date_inputs
  given = ranges.data_root if ranges else config.inputs
  folder = paths.resolve(given, f"{key}.{config.inputs_key}")
  if not ranges:
    folder = os.path.dirname(folder)
  while _WILDCARD.search(folder):
    folder = os.path.dirname(folder)
  folder = folder.rstrip("/")
  if not os.path.basename(folder) or os.path.dirname(folder).endswith(":"):
    raise ConfigError(
      f"{key}.{config.inputs_key}: the folder of {given!r} has no name to put the statistics "
      "under. Say where to write with --output_path=PATH"
    )
  return folder + _ENDINGS[file_format]


def _dense_features(config: DataConfig, key: str) -> dict[str, Feature]:
  features = {
    name: feature
    for name, feature in schema.features_of(config, key).items()
    if name not in config.tasks
    and feature.length != VARIABLE_LENGTH
    and feature.tensor_dtype is not tf.string
  }
  if not features:
    raise ConfigError(
      f"{key}.seg_dense_schema: found no numeric feature of fixed length besides the labels, "
      "allowed: at least one"
    )
  return features


def _glob_of(config: DataConfig, key: str) -> Optional[str]:
  return config.inputs and paths.resolve(config.inputs, f"{key}.inputs")


def _prepare_output(path: str, glob: Optional[str], overwrite: bool) -> None:
  parts = zip(os.path.split(path), os.path.split(glob)) if glob else ()
  if glob and all(fnmatch.fnmatchcase(part, pattern) for part, pattern in parts):
    raise ConfigError(
      f"--output_path: {path} would be read as records, since {glob} matches it, allowed: another "
      "name or folder"
    )
  if tf.io.gfile.isdir(path):
    raise StorageError(f"--output_path: {path} is a folder, allowed: a file")
  if tf.io.gfile.exists(path) and not overwrite:
    raise StorageError(
      f"{path}: already there. Replace it with --overwrite, or write elsewhere with "
      "--output_path=PATH"
    )
  make_writable(os.path.dirname(path), "--output_path")


def _batches(
  files: list[shards.Shard], features: Mapping[str, Feature], max_examples: Optional[int]
) -> Iterator[dict[str, np.ndarray]]:
  """Yields [batch, length] by name inside the model, and shows how far it has come."""
  parse = parsing.make_parser(features)

  def parse_batch(serialized: tf.Tensor, positions: tf.Tensor, numbers: tf.Tensor) -> tuple:
    values = parse(serialized, diagnosis.record_names(numbers, positions))
    return values, tf.strings.length(serialized), numbers

  records = records_of(files).take(-1 if max_examples is None else max_examples)
  batches = records.batch(_BATCH_SIZE).map(
    parse_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
  )
  with ReadingProgress(files, "analyzing") as progress:
    for values, lengths, numbers in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
      yield values
      progress.advance(lengths, numbers)

"""Writes a data section's records: which kind, how many, where to."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Literal, Optional, Protocol

import numpy as np
import tensorflow as tf

from tfrecords import paths, schema
from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError, StorageError
from tfrecords.planted_records import PlantedRecords
from tfrecords.progress import progress_bar
from tfrecords.random_records import RandomRecords
from tfrecords.schema import Feature
from tfrecords.serialization import Rows, serialize
from tfrecords.shard_writer import ShardWriter

Kind = Literal["random", "planted"]
Compression = Literal["gzip", "none"]
KINDS = ("random", "planted")
COMPRESSIONS = {"gzip": "GZIP", "none": ""}

_WILDCARD = re.compile(r"[*?\[]")
_FILE_ENDINGS = (".gz", ".tfrecord", ".tfrecords", ".zlib")
_SHOWN_FILES = 5


@dataclass(frozen=True)
class Generated:
  """What `generate` wrote.

  Attributes:
    pattern: a glob that matches the shards.
    shards: their paths, in order.
    n_examples: over all shards.
    n_bytes: on disk, over all shards.
    positive_rates: share of positive labels by task, in [0, 1].
  """

  pattern: str
  shards: tuple[str, ...]
  n_examples: int
  n_bytes: int
  positive_rates: dict[str, float]


class _Records(Protocol):
  """Records in blocks of columns; see RandomRecords."""

  features: Mapping[str, Feature]
  block_size: int

  def block(self, index: int) -> dict[str, Rows]:
    """Returns one block, column by column."""


def generate(
  config: DataConfig,
  n_examples: int = 2048,
  num_shards: int = 4,
  kind: Kind = "random",
  seed: int = 0,
  teacher_seed: int = 0,
  write_probabilities: bool = False,
  output: Optional[str] = None,
  compression: Optional[Compression] = None,
  overwrite: bool = False,
  key: str = "train_data",
) -> Generated:
  """Writes records that follow a data section's schema; the shards appear together or not at all.

  The same arguments give the same bytes. Example i is a function of the seeds and i: asking for
  more examples, or for another number of shards, keeps those there were.

  Args:
    config: the data section: schema, tasks and, unless `output` is given, where to write.
    n_examples: how many records, over all shards.
    num_shards: how many files, at most one a record.
    kind: "random" (values that mean nothing) or "planted" (labels that follow a known teacher).
    seed: of the examples, at least 0.
    teacher_seed: of the teacher of planted data, at least 0.
    write_probabilities: planted records also carry the teacher's probabilities, see
      `tfrecords.planted_records.teacher_probabilities_features`.
    output: a file name with one `*`, or a folder, which gets `*.tfrecord.gz` files (`*.tfrecord`
      without compression); where the section's `inputs` looks when None.
    compression: "gzip" or "none"; gzip when None and the name ends in .gz.
    overwrite: removes files that already match, after the new ones are complete.
    key: the section's path in the configuration, for the messages.

  Raises:
    ConfigError: an argument cannot be used, or the section does not fit its schema.
    StorageError: files are there already, or the new ones cannot be written.
    DataError: the schema file cannot be used.
  """
  _check_arguments(n_examples, num_shards, kind, seed, teacher_seed, write_probabilities)
  pattern = output_pattern(config, output, compression, num_shards, key)
  if compression is None:
    compression = "gzip" if pattern.endswith(".gz") else "none"
  shards = shard_paths(pattern, num_shards)
  existing = _existing_files(pattern, shards)
  if existing and not overwrite:
    raise StorageError(_describe_existing(existing))

  features = _schema_features(config, key)
  records = _make_records(config, features, kind, seed, teacher_seed, write_probabilities)
  rates = _PositiveRates(config.tasks)
  writer = ShardWriter(shards, n_examples, COMPRESSIONS[compression], obsolete=existing)
  with writer, progress_bar(n_examples, f"{kind} records", "record") as bar:
    for block in _blocks(records, n_examples):
      rates.add(block)
      for record in serialize(block, records.features):
        writer.write(record)
        bar.update()
  n_bytes = sum(tf.io.gfile.stat(path).length for path in shards)
  return Generated(pattern, tuple(shards), n_examples, n_bytes, rates.rates(n_examples))


def output_pattern(
  config: DataConfig,
  output: Optional[str] = None,
  compression: Optional[Compression] = None,
  num_shards: int = 1,
  key: str = "train_data",
) -> str:
  """Returns the path of the shards, its file name with one `*`, or none if there is one shard.

  Args:
    config: the data section.
    output: see `generate`.
    compression: see `generate`; decides the names in a folder.
    num_shards: one shard may have a name without `*`.
    key: the section's path in the configuration, for the messages.

  Raises:
    ConfigError: there is not exactly one `*`, or it is not in the file name.
  """
  where, given = ("--output", output) if output is not None else (f"{key}.inputs", config.inputs)
  if not given:
    raise ConfigError(f"{where}: found no glob of files. Say where to write with --output=PATTERN")
  pattern = paths.resolve(given, where)
  folder, name = os.path.split(pattern)
  wildcards = _WILDCARD.findall(pattern)
  if not wildcards and output is not None and not name.endswith(_FILE_ENDINGS):
    return os.path.join(pattern, "*.tfrecord" if compression == "none" else "*.tfrecord.gz")
  if wildcards == ["*"] and "*" in name:
    return pattern
  if not wildcards and num_shards == 1:
    return pattern
  raise ConfigError(
    f"{where}: found {given!r}, allowed: one * in the file name, for the number of the shard"
    f"{' (a name without * holds one shard, see --num_shards=1)' if not wildcards else ''}. Say "
    "where to write with --output=PATTERN, such as --output=FOLDER/*.gz"
  )


def shard_paths(pattern: str, num_shards: int) -> list[str]:
  """Replaces the `*` of a pattern by part-00000-of-00004 and so on."""
  return [
    pattern.replace("*", f"part-{shard:05d}-of-{num_shards:05d}") for shard in range(num_shards)
  ]


def _check_arguments(
  n_examples: int,
  num_shards: int,
  kind: str,
  seed: int,
  teacher_seed: int,
  write_probabilities: bool,
) -> None:
  if kind not in KINDS:
    raise ConfigError(f"--kind: found {kind!r}, allowed: {', '.join(KINDS)}")
  at_least = {"n_examples": (n_examples, 1), "num_shards": (num_shards, 1)}
  at_least.update(seed=(seed, 0), teacher_seed=(teacher_seed, 0))
  for flag, (value, least) in at_least.items():
    if value < least:
      raise ConfigError(f"--{flag}: found {value}, allowed: at least {least}")
  if num_shards > n_examples:
    raise ConfigError(
      f"--num_shards: found {num_shards}, allowed: at most {n_examples}, since each shard needs an "
      "example (see --n_examples)"
    )
  if write_probabilities and kind != "planted":
    raise ConfigError(
      f"--write_probabilities: found with --kind={kind}, allowed: with --kind=planted, which has a "
      "teacher that knows the probabilities"
    )


def _existing_files(pattern: str, shards: list[str]) -> list[str]:
  try:
    matching = tf.io.gfile.glob(pattern)
    found = {path for path in matching if not tf.io.gfile.isdir(path)}
    found.update(path for path in shards if tf.io.gfile.exists(path))
  except tf.errors.OpError as error:
    raise StorageError(f"{pattern}: cannot be listed: {error.message}") from None
  return sorted(found)


def _describe_existing(existing: list[str]) -> str:
  shown = ", ".join(existing[:_SHOWN_FILES])
  more = f" and {len(existing) - _SHOWN_FILES} more" if len(existing) > _SHOWN_FILES else ""
  return (
    f"{shown}{more}: already there, and new shards beside them would be read as one data set. "
    "Replace them with --overwrite, or write elsewhere with --output=PATTERN"
  )


def _schema_features(config: DataConfig, key: str) -> dict[str, Feature]:
  """Returns every feature of the schema file, by name in the record, with its name in the model."""
  path = config.seg_dense_schema.schema_path
  every = schema.load_schema(path, f"{key}.seg_dense_schema.schema_path")
  read = {feature.record_name: feature for feature in schema.features_of(config, key).values()}
  return {name: read.get(name, feature) for name, feature in every.items()}


def _make_records(
  config: DataConfig,
  features: Mapping[str, Feature],
  kind: Kind,
  seed: int,
  teacher_seed: int,
  write_probabilities: bool,
) -> _Records:
  tasks = list(config.tasks)
  if kind == "random":
    return RandomRecords(features, tasks, seed)
  return PlantedRecords(features, tasks, seed, teacher_seed, write_probabilities)


def _blocks(records: _Records, n_examples: int) -> Iterator[dict[str, Rows]]:
  """Yields blocks of n_examples records in all: the last one is cut."""
  for index in count():
    left = n_examples - index * records.block_size
    if left <= 0:
      return
    yield {name: rows[:left] for name, rows in records.block(index).items()}


class _PositiveRates:
  """Counts positive labels."""

  def __init__(self, tasks: Mapping[str, object]):
    self._positives = dict.fromkeys(tasks, 0)

  def add(self, block: Mapping[str, Rows]) -> None:
    for task in self._positives:
      self._positives[task] += int(np.sum(block[task]))

  def rates(self, n_examples: int) -> dict[str, float]:
    return {task: positives / n_examples for task, positives in self._positives.items()}

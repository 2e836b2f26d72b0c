"""Generates records where a configuration looks for them, and tells what it wrote."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Optional, Union

import tensorflow as tf

from tfrecords import paths, schema
from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError, StorageError
from tfrecords.planted_records import PlantedRecords
from tfrecords.progress import progress_bar
from tfrecords.random_records import RandomRecords
from tfrecords.serialization import serialize
from tfrecords.shard_writer import ShardWriter

Kind = Literal["random", "planted"]
KINDS = ("random", "planted")
COMPRESSIONS = {"gzip": "GZIP", "none": ""}
_MOST_FILES_NAMED = 5


@dataclass(frozen=True)
class Generated:
  """What a generation wrote.

  Attributes:
    pattern: a glob that matches the shards.
    files: the shards in order.
    n_examples: records in all of them.
    n_bytes: their size on disk.
    positive_rates: the share of records whose label is 1, by task.
  """

  pattern: str
  files: tuple[str, ...]
  n_examples: int
  n_bytes: int
  positive_rates: dict[str, float]


def generate(
  config: DataConfig,
  n_examples: int,
  num_shards: int,
  kind: Kind,
  seed: int = 0,
  teacher_seed: int = 0,
  write_probabilities: bool = False,
  output: Optional[str] = None,
  compression: Optional[str] = None,
  overwrite: bool = False,
  key: str = "train_data",
) -> Generated:
  """Writes records of a data section's schema in shards; the same arguments give the same bytes.

  Args:
    config: the section: schema, names, tasks, and by default the place.
    n_examples: how many records.
    num_shards: into how many files.
    kind: "random" for values that mean nothing, "planted" for labels drawn from a known teacher.
    seed: of the records.
    teacher_seed: of the teacher; training and validation data of one teacher share it.
    write_probabilities: with "planted", adds the true probability of each label.
    output: a pattern with one `*`, or a folder; `config.inputs` when None.
    compression: "gzip" or "none"; by the pattern's ending, .gz or not, when None.
    overwrite: replaces files that match already.
    key: the section's path in the configuration, for the messages.

  Raises:
    ConfigError: an argument cannot be used.
    StorageError: files exist already, or cannot be written.
  """
  _check_arguments(config, n_examples, num_shards, kind, write_probabilities, compression)
  features = {f.record_name: f for f in schema.features_of(config, key).values()}
  tasks = list(config.tasks)
  records: Union[RandomRecords, PlantedRecords]
  if kind == "random":
    records = RandomRecords(features, tasks, seed)
  else:
    records = PlantedRecords(features, tasks, seed, teacher_seed, write_probabilities)
  pattern = _pattern(config, output, key, compression)
  existing = _existing(pattern, overwrite)
  shards = ("part-%05d-of-%05d" % (shard, num_shards) for shard in range(num_shards))
  files = [pattern.replace("*", shard) for shard in shards]
  is_gzip = compression == "gzip" if compression else pattern.endswith(".gz")
  positives = dict.fromkeys(tasks, 0)
  with ShardWriter(files, n_examples, "GZIP" if is_gzip else "", obsolete=existing) as writer:
    for record in _serialized(records, n_examples, positives):
      writer.write(record)
  n_bytes = sum(tf.io.gfile.stat(file).length for file in files)
  rates = {task: count / n_examples for task, count in positives.items()}
  return Generated(pattern, tuple(files), n_examples, n_bytes, rates)


def _check_arguments(
  config: DataConfig,
  n_examples: int,
  num_shards: int,
  kind: str,
  write_probabilities: bool,
  compression: Optional[str],
) -> None:
  if kind not in KINDS:
    raise ConfigError(f"--kind: found {kind!r}, allowed: {', '.join(KINDS)}")
  if n_examples < 1:
    raise ConfigError(f"--n_examples: found {n_examples}, allowed: at least 1")
  if not 1 <= num_shards <= n_examples:
    raise ConfigError(
      f"--num_shards: found {num_shards}, allowed: 1 to {n_examples}, the number of examples"
    )
  if compression is not None and compression not in COMPRESSIONS:
    raise ConfigError(f"--compression: found {compression!r}, allowed: {', '.join(COMPRESSIONS)}")
  if write_probabilities and kind != "planted":
    raise ConfigError("--write_probabilities: only --kind=planted has probabilities to write")


def _pattern(
  config: DataConfig, output: Optional[str], key: str, compression: Optional[str]
) -> str:
  """Returns where the shards go, with one `*` for the shard."""
  if output is None and config.inputs is None:
    raise ConfigError(f"{key}.inputs: not given; say where to write with --output=FOLDER")
  source = "--output" if output is not None else f"{key}.inputs"
  pattern = paths.resolve(output if output is not None else config.inputs, source)
  if output is not None and not any(wildcard in pattern for wildcard in "*?["):
    return os.path.join(pattern, "*.tfrecord" if compression == "none" else "*.gz")
  if pattern.count("*") != 1 or any(wildcard in pattern for wildcard in "?["):
    raise ConfigError(
      f"{source}: {pattern!r} does not say where to write, allowed: a pattern with one * and no "
      "other wildcard; give another with --output=PATTERN"
    )
  return pattern


def _existing(pattern: str, overwrite: bool) -> list[str]:
  existing = sorted(path for path in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(path))
  if existing and not overwrite:
    shown = ", ".join(existing[:_MOST_FILES_NAMED])
    more = len(existing) - _MOST_FILES_NAMED
    raise StorageError(
      f"{pattern}: {len(existing)} file(s) exist already: {shown}"
      f"{f' and {more} more' if more > 0 else ''}. Replace them with --overwrite, or write "
      "elsewhere with --output=FOLDER"
    )
  return existing


def _serialized(
  records: Union[RandomRecords, PlantedRecords], n_examples: int, positives: dict[str, int]
) -> Iterator[bytes]:
  """Yields the records and counts the positive labels on the way."""
  written = 0
  with progress_bar(n_examples, "generating", unit="example") as bar:
    for index in itertools.count():
      count = min(records.block_size, n_examples - written)
      if count == 0:
        return
      block = {name: rows[:count] for name, rows in records.block(index).items()}
      for task in positives:
        positives[task] += int(block[task].sum())
      yield from serialize(block, records.features)
      written += count
      bar.update(count)

"""Scores many files of records, and goes on where an earlier run stopped."""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np
from tqdm import tqdm

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.serving.offline_scoring.example_scorer import ExampleScorer, Model
from heavy_ranker.serving.offline_scoring.manifest import (
  Manifest,
  Recipe,
  is_there,
  output_paths,
  source_of,
)
from heavy_ranker.serving.offline_scoring.packed_scorer import PackedScorer, find_packed_ids
from heavy_ranker.serving.offline_scoring.record_ids import IdReader, find_ids
from heavy_ranker.serving.offline_scoring.score_file import SCORE, score_file
from heavy_ranker.serving.offline_scoring.shard_scorer import ShardScorer
from heavy_ranker.training.earlier_run import set_aside
from tfrecords import paths, shards
from tfrecords.errors import ConfigError
from tfrecords.files import remove_unfinished
from tfrecords.folders import make_writable
from tfrecords.packed.shard_reader import ShardReader
from tfrecords.reading_progress import ReadingProgress
from tfrecords.schema import Feature
from tfrecords.shards import Shard


@dataclass(frozen=True)
class Inputs:
  """Files of records, with their names below the folder that the glob or the section names.

  Attributes:
    files: the files.
    names: of each of them.
    packed: reads the files if //tfrecords:pack wrote them.
  """

  files: list[Shard]
  names: list[str]
  packed: Optional[ShardReader] = None


@dataclass(frozen=True)
class ScoringResult:
  """What a run did.

  Attributes:
    folder: where the scores lie.
    columns: the names of the columns, ids first.
    files: how many files of scores there are now.
    files_before: how many of them an earlier run had finished.
    examples: records scored by this run.
    seconds: how long this run scored, loading the model apart.
    set_aside: where --fresh moved an earlier run, if there was one.
  """

  folder: str
  columns: tuple[str, ...]
  files: int
  files_before: int
  examples: int
  seconds: float
  set_aside: Optional[str] = None


def inputs_of_glob(pattern: str, key: str = "--inputs") -> Inputs:
  """Returns the files a glob matches.

  Raises:
    ConfigError, DataError: there are none, or they hold no records.
  """
  files = shards.find_shards(pattern, key)
  fixed = re.split(r"[*?\[]", paths.resolve(pattern, key))[0]
  folder = fixed[: fixed.rfind("/") + 1]
  packed = ShardReader(files, key) if shards.are_packed(files, key) else None
  return Inputs(files, [file.path.removeprefix(folder) for file in files], packed)


def inputs_of_partition(config: HeavyRankerConfig, partition: Optional[str] = None) -> Inputs:
  """Returns the files of a partition of `validation_data`; of the first one when None.

  Raises:
    ConfigError: there is no such partition.
    DataError: its files cannot be used.
  """
  name = partition or next(iter(config.validation_data), None)
  if name not in config.validation_data:
    raise ConfigError(
      f"--partition: found {name!r}, allowed: {', '.join(config.validation_data) or 'none'}, the "
      "partitions of validation_data. Or name files with --inputs=GLOB"
    )
  section, key = config.validation_data[name], f"validation_data.{name}"
  files = shards.shards_of(section, key)
  if not section.packed:
    shards.require_unpacked(files, key)
  packed = ShardReader(files, key) if section.packed else None
  return Inputs(files, shards.names_below_inputs(files, section, key), packed)


def score_records(
  model: Model,
  inputs: Inputs,
  output_dir: str,
  file_format: str = "parquet",
  ids: Optional[Sequence[str]] = None,
  batch_size: int = 256,
  fresh: bool = False,
) -> ScoringResult:
  """Scores files of records into a folder: ids, score and a column a task, in the records' order.

  Each file of scores appears when it is whole, and is not made again by a rerun with the same
  model and the same records.

  Args:
    model: from `exported_model` or `checkpoint_model`.
    inputs: the files of records.
    output_dir: the folder of scores, local or remote.
    file_format: "parquet" or "tfrecord".
    ids: features to copy; None takes those that begin with "meta.".
    batch_size: records scored at a time; scores of two sizes may differ in the last bit.
    fresh: moves what the folder holds aside.

  Raises:
    ConfigError, DataError: the ids, a file or a record cannot be used.
    StorageError: the folder holds other scores, or cannot be written.
    CheckpointError: the model's output is not finite.
  """
  folder = paths.resolve(output_dir, "--output_dir")
  _require_apart(folder, inputs)
  outputs = output_paths(folder, inputs.names, file_format)
  packed = inputs.packed
  found = find_ids(inputs.files[0], ids) if packed is None else find_packed_ids(packed, ids)
  # Only what this command has written is moved.
  moved = set_aside(folder) if fresh and is_there(folder) else None
  manifest = Manifest(make_writable(output_dir, "--output_dir"))
  recipe = Recipe(
    model.identity,
    model.origin,
    file_format,
    {feature.name: feature.dtype for feature in found},
  )
  finished = manifest.settle(
    recipe, {path: source_of(shard) for path, shard in zip(outputs, inputs.files)}
  )
  remove_unfinished(outputs)
  left = [(shard, path) for shard, path in zip(inputs.files, outputs) if path not in finished]
  examples, seconds, columns = 0, 0.0, (*recipe.ids, SCORE)
  if left:
    scorer = model.load()
    columns = _columns(scorer, recipe)
    started = time.monotonic()
    if packed is None:
      shard_scorer = ShardScorer(scorer, IdReader(found), batch_size)
    else:
      shard_scorer = PackedScorer(scorer, found, batch_size, packed)
    examples = sum(_score_files(shard_scorer, found, scorer.tasks, left))
    seconds = time.monotonic() - started
  return ScoringResult(folder, columns, len(outputs), len(finished), examples, seconds, moved)


def _require_apart(folder: str, inputs: Inputs) -> None:
  inside = os.path.join(folder, "")
  for file in inputs.files:
    if file.path.startswith(inside):
      raise ConfigError(
        f"--output_dir: {folder} holds records to score, {file.path}, allowed: a folder apart from "
        "them"
      )


def _columns(scorer: ExampleScorer, recipe: Recipe) -> tuple[str, ...]:
  columns = (*recipe.ids, SCORE, *scorer.tasks)
  for name in recipe.ids:
    if columns.count(name) > 1:
      raise ConfigError(
        f"--ids: found {name!r}, which is the column of the model's own output, allowed: other "
        "features"
      )
  return columns


def _score_files(
  shard_scorer: Union[ShardScorer, PackedScorer],
  ids: Sequence[Feature],
  tasks: Sequence[str],
  left: Sequence[tuple[Shard, str]],
) -> Iterator[int]:
  """Yields how many records each file had."""
  with ReadingProgress([shard for shard, _ in left], "scoring") as progress:
    for number, (shard, path) in enumerate(left):
      started, examples = time.monotonic(), 0
      with score_file(path, ids, tasks) as write:
        for batch, lengths in shard_scorer.score(shard):
          write(batch)
          examples += len(batch)
          progress.advance(lengths, np.full(len(lengths), number))
      rate = examples / max(time.monotonic() - started, 1e-9)
      tqdm.write(
        f"scored {os.path.basename(path)} ({number + 1} of {len(left)}): {examples} examples, "
        f"{rate:.0f} examples/s"
      )
      sys.stdout.flush()
      yield examples

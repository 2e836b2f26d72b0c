"""From a table to a folder of records, schema, feature list and configuration, all or nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from tfrecords import paths
from tfrecords.errors import ConfigError, StorageError
from tfrecords.files import errors_at, names_in, rename
from tfrecords.folders import alone_in, make_writable
from tfrecords.ingestion import counts, storage, table_files, table_reader, vocabularies
from tfrecords.ingestion.conversion import ChunkConverter
from tfrecords.ingestion.counts import Counts
from tfrecords.ingestion.feature_list import feature_list
from tfrecords.ingestion.job import Job
from tfrecords.ingestion.mapping import Mapping
from tfrecords.ingestion.pipeline import Runner
from tfrecords.ingestion.shard_assembly import ShardAssembler
from tfrecords.ingestion.training_config import training_config

# Its presence says that a folder is a complete output.
SUMMARY = "ingestion.json"
_PLAN = "plan.json"


@dataclass(frozen=True)
class Ingested:
  """What `ingest` wrote.

  Attributes:
    output: the folder.
    summary: rows, records and positives by part and task, as in SUMMARY.
    was_complete: an earlier run had written it all, and nothing was done.
  """

  output: str
  summary: dict[str, Any]
  was_complete: bool = False


def ingest(
  mapping: Mapping,
  inputs: Sequence[str],
  output: str,
  runner: Runner,
  overwrite: bool = False,
) -> Ingested:
  """Writes a table as records.

  The folder appears when all is done: PART/part-*.tfrecord.gz for each part of the split,
  schema.json, features.json, config.yaml, vocabularies.json if there are any, and SUMMARY.
  Interrupted, the same call goes on where it stopped; complete, it does nothing. The same mapping
  and files give the same bytes wherever and on however many workers it runs. A worker holds a
  block of rows, or the records of a shard.

  Args:
    mapping: how the table becomes records.
    inputs: globs of the table's files; those of the mapping if there are none.
    output: the folder.
    runner: where the work is done.
    overwrite: replaces a folder that holds another ingestion's output.

  Raises:
    ConfigError: mapping or arguments cannot be used.
    DataError: the table cannot.
    StorageError: the folder holds something else, or cannot be written.
  """
  job = plan(mapping, inputs, output)
  # The folder above has to be there before the lock beside the output.
  parent = make_writable(os.path.dirname(job.output), "--output")
  with alone_in(os.path.join(parent, os.path.basename(job.work_folder))):
    done = _finished(job, overwrite)
    if done is not None:
      return done
    _prepare(job)
    found = _run(job, runner)
    summary = _describe(job, found)
    _publish(job)
  return Ingested(job.output, summary)


def plan(mapping: Mapping, inputs: Sequence[str], output: str) -> Job:
  """Finds the files, checks their columns against the mapping, and parts the work.

  Raises:
    ConfigError, DataError: see `ingest`.
  """
  given = inputs or ([mapping.inputs] if isinstance(mapping.inputs, str) else mapping.inputs)
  files = table_files.find_files(mapping, given, "--input" if inputs else "inputs")
  job = Job(
    mapping=mapping,
    files=files,
    chunks=table_files.chunks_of(mapping, files),
    table_columns=table_reader.column_names(mapping, files[0]),
    output=paths.resolve(output, "--output").rstrip("/"),
    stamps=[table_files.last_written(file) for file in files],
  )
  if not os.path.basename(job.output):
    raise ConfigError(f"--output: found {output!r}, allowed: a folder with a name")
  job.check_files()
  return job


def _finished(job: Job, overwrite: bool) -> Optional[Ingested]:
  path = os.path.join(job.output, SUMMARY)
  if storage.exists(path):
    summary = storage.read_json(path)
    if summary["digest"] == job.digest:
      return Ingested(job.output, summary, was_complete=True)
    if overwrite:
      return None
    raise StorageError(
      f"{job.output}: holds what another mapping or other files gave. Replace it with --overwrite, "
      "or write elsewhere with --output=FOLDER"
    )
  is_file = storage.exists(job.output) and not storage.is_folder(job.output)
  if is_file or names_in(job.output):
    raise StorageError(
      f"{job.output}: is there and holds something else, allowed: a new or empty folder. Write "
      "elsewhere with --output=FOLDER"
    )
  return None


def _prepare(job: Job) -> None:
  """Makes the work folder, or takes up the one of an earlier run of the same job."""
  path = os.path.join(job.work_folder, _PLAN)
  if storage.exists(path):
    if storage.read_json(path)["digest"] == job.digest:
      print(f"going on with the work in {job.work_folder}", flush=True)
      return
    storage.remove(job.work_folder)
  elif names_in(job.work_folder):
    raise StorageError(f"{job.work_folder}: is needed for the work and holds something else")
  storage.make_folder(job.work_folder)
  storage.write_json(path, {"digest": job.digest})


def _run(job: Job, runner: Runner) -> Counts:
  n_chunks = len(job.chunks)
  if job.layout.vocabulary_columns and not storage.exists(job.vocabularies_path):
    runner.run(job, "counting categories", vocabularies.CategoryCounter(job), n_chunks)
    vocabularies.merge(job, range(n_chunks))
  converter = ChunkConverter(job)
  runner.run(job, "converting rows", converter, n_chunks)
  reports = [storage.read_json(converter.output(chunk)) for chunk in range(n_chunks)]
  found = counts.total(job.mapping, reports)
  shards = _shards(job, found)
  runner.run(job, "writing shards", ShardAssembler(job, shards, reports), len(shards))
  return found


def _shards(job: Job, found: Counts) -> list[tuple[str, int, int]]:
  shards = []
  for name, part in found.parts.items():
    n_shards = max(1, round(part.n_records / job.mapping.output.examples_per_shard))
    shards += [(name, shard, n_shards) for shard in range(n_shards)]
  return shards


def _describe(job: Job, found: Counts) -> dict[str, Any]:
  """Writes everything that is no record, the summary last."""
  folder = job.staging_folder
  listed = feature_list(job, found)
  storage.write_json(os.path.join(folder, "schema.json"), job.layout.schema())
  storage.write_json(os.path.join(folder, "features.json"), listed)
  storage.write(os.path.join(folder, "config.yaml"), training_config(job, found).encode())
  if job.layout.vocabulary_columns:
    vocabulary = storage.read_json(job.vocabularies_path)
    storage.write_json(os.path.join(folder, "vocabularies.json"), vocabulary)
  summary = {
    "digest": job.digest,
    "rows": listed["rows"],
    "rows_of_no_part": listed["rows_of_no_part"],
    "parts": listed["parts"],
    "shards": {name: sum(of == name for of, _, _ in _shards(job, found)) for name in found.parts},
    "widths": job.layout.widths(),
  }
  storage.write_json(os.path.join(folder, SUMMARY), summary)
  return summary


def _publish(job: Job) -> None:
  """Gives the finished folder its name; on this machine that is one step."""
  try:
    if paths.is_remote(job.output):
      storage.remove(job.output)
      _move_files(job.staging_folder, job.output)
    else:
      old = os.path.join(job.work_folder, "replaced")
      if os.path.exists(job.output):
        rename(job.output, old)
      rename(job.staging_folder, job.output)
  except errors_at(job.output) as error:
    raise storage.cannot_be("written", job.output, error) from None
  storage.remove(job.work_folder)


def _move_files(source: str, target: str) -> None:
  names = names_in(source)
  for name in sorted(names, key=lambda name: name == SUMMARY):
    origin = os.path.join(source, name)
    if storage.is_folder(origin):
      _move_files(origin, os.path.join(target, name))
    else:
      storage.make_folder(target)
      rename(origin, os.path.join(target, name))

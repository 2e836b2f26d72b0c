"""What a folder of scores was made of, so that a rerun goes on with the same or not at all."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

import tensorflow as tf

from heavy_ranker.serving.offline_scoring.score_file import ENDINGS
from tfrecords import files
from tfrecords.errors import DataError, StorageError
from tfrecords.shards import Shard

# Whoever reads a folder of Parquet files leaves names with _ in front alone.
FILE_NAME = "_scoring.json"
_FORMAT_VERSION = 1
_ENDINGS_OF_RECORDS = re.compile(r"(\.tfrecords?)?(\.gz|\.zlib)?$")


@dataclass(frozen=True)
class Recipe:
  """What all files of a folder have in common.

  Attributes:
    model: the model's identity.
    origin: where it lay; a copy of it is as good.
    format: "parquet" or "tfrecord".
    ids: dtype by name, in the order of the columns.
  """

  model: str
  origin: str
  format: str
  ids: Mapping[str, str]


@dataclass(frozen=True)
class Source:
  """A file of records as it was when it was scored.

  Attributes:
    path: where it lies.
    bytes: its size.
    modified: when it was last written, in nanoseconds.
  """

  path: str
  bytes: int
  modified: int


def is_there(folder: str) -> bool:
  """Tells whether a folder holds scores of this command, finished or not."""
  return tf.io.gfile.exists(os.path.join(folder, FILE_NAME))


class Manifest:
  """The folder's manifest: read, compared with what is wanted, written.

  Args:
    folder: the folder of scores, absolute.

  Raises:
    StorageError: there is a manifest, and it cannot be used.
  """

  def __init__(self, folder: str):
    self._folder = folder
    self._path = os.path.join(folder, FILE_NAME)
    self._known = self._read()

  def settle(self, recipe: Recipe, sources: Mapping[str, Source]) -> list[str]:
    """Compares the folder with what is wanted, writes that down, and returns what is finished.

    New sources may come in; those of finished files must be there, and be the same.

    Args:
      recipe: what the files shall have in common.
      sources: the file of records by the path of its file of scores.

    Raises:
      StorageError: the folder holds other scores, or files that nobody here wrote; says what
        differs.
    """
    finished = [path for path in sources if tf.io.gfile.exists(path)]
    if self._known is None and finished:
      raise StorageError(
        f"{finished[0]}: exists, and {self._path} does not: it was not written by this command. "
        "Name another folder with --output_dir=FOLDER"
      )
    if self._known is not None:
      differences = [*self._other_recipe(recipe), *self._other_sources(sources)]
      if differences:
        raise StorageError(
          f"{self._folder}: holds scores of something else:\n  " + "\n  ".join(differences) + "\n"
          "Name another folder with --output_dir=FOLDER, or move it aside and begin anew with "
          "--fresh"
        )
    self._write(recipe, sources)
    return finished

  def _other_recipe(self, recipe: Recipe) -> list[str]:
    known, wanted = self._known["recipe"], asdict(recipe)
    words = {
      "model": f"the model: they are from {known['origin']}, which is another than {recipe.origin} "
      "or has changed",
      "format": f"--format: they are {known['format']}, wanted: {recipe.format}",
      "ids": f"--ids: they have {_listed(known['ids'])}, wanted: {_listed(wanted['ids'])}",
    }
    # As lists, since the order of the ids counts.
    pairs = {"ids": (list(known["ids"].items()), list(wanted["ids"].items()))}
    return [
      text
      for key, text in words.items()
      if len(set(map(str, pairs.get(key, (known[key], wanted[key]))))) > 1
    ]

  def _other_sources(self, sources: Mapping[str, Source]) -> list[str]:
    differences = []
    for name, known in self._known["sources"].items():
      path = os.path.join(self._folder, name)
      if not tf.io.gfile.exists(path):
        continue
      if path not in sources:
        differences.append(f"{name}: its records, {known['path']}, are no longer among the inputs")
      elif known != asdict(sources[path]):
        differences.append(f"{name}: its records, {sources[path].path}, have changed since")
    return differences

  def _read(self) -> Optional[dict[str, Any]]:
    if not tf.io.gfile.exists(self._path):
      return None
    try:
      with tf.io.gfile.GFile(self._path, "r") as file:
        known = json.loads(file.read())
      if known["format_version"] == _FORMAT_VERSION and {"recipe", "sources"} <= set(known):
        return known
    except (tf.errors.OpError, ValueError, KeyError, TypeError):
      pass  # Damaged, or of another version: the same to the user.
    raise StorageError(
      f"{self._path}: no manifest of this version of the program. Name another folder with "
      "--output_dir=FOLDER, or move this one aside with --fresh"
    )

  def _write(self, recipe: Recipe, sources: Mapping[str, Source]) -> None:
    content = {
      "format_version": _FORMAT_VERSION,
      "recipe": asdict(recipe),
      "sources": {
        os.path.relpath(path, self._folder): asdict(source) for path, source in sources.items()
      },
    }
    way_out = "Free space there, or name another folder with --output_dir=FOLDER"
    files.write(self._path, json.dumps(content, indent=2) + "\n", way_out)


def source_of(shard: Shard) -> Source:
  """Returns a file of records as it is now."""
  found = tf.io.gfile.stat(shard.path)
  return Source(shard.path, found.length, found.mtime_nsec)


def output_paths(folder: str, names: Sequence[str], file_format: str) -> list[str]:
  """Returns the path of the file of scores of each file of records.

  Args:
    folder: the folder of scores.
    names: the files of records, by their paths below the inputs' folder.
    file_format: "parquet" or "tfrecord".

  Raises:
    DataError: two files of records would have one file of scores.
  """
  taken: dict[str, str] = {}
  for name in names:
    path = os.path.join(folder, _ENDINGS_OF_RECORDS.sub("", name) + ENDINGS[file_format])
    if path in taken:
      raise DataError(
        f"--inputs: found {taken[path]} and {name}, whose scores would both be {path}; rename one, "
        "or score them into two folders"
      )
    taken[path] = name
  return list(taken)


def _listed(ids: Mapping[str, str]) -> str:
  return ", ".join(ids) or "none"

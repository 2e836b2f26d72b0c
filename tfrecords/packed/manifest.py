"""`packed.json`: what a folder of packed records holds, beside its shards."""

import json
import os
from typing import Any, Literal, Optional, Union

import pydantic
import tensorflow as tf

from tfrecords import files
from tfrecords.config.strict_model import StrictModel, inconsistent, validate
from tfrecords.errors import ConfigError, DataError, reason
from tfrecords.packed.layout import Array
from tfrecords.shards import PACKED_MANIFEST

FILE_NAME = PACKED_MANIFEST
FORMAT = "packed records"
VERSION = 2

# Where a file of the folder cannot be written.
WAY_OUT = (
  "Choose a folder you may write to, on a disk with room left; the same command then goes on where "
  "it stopped"
)

# The arrays of a block; those of features and probabilities have the feature's name behind it.
FEATURE, PROBABILITY = "feature/", "probability/"
LABELS, RECTIFIED = "labels", "rectified_labels"
SOURCE, POSITION = "source", "position"

Value = Union[str, int, float, None, list[Any], dict[str, Any]]


class PackedArray(StrictModel):
  """One array of each block, see `tfrecords.packed.layout`.

  Attributes:
    name: its key in the record.
    width: columns.
    dtype: how values are stored.
    layout: "rows", "columns" or "planes".
    recipe: what was made of the records to get it, see `tfrecords.packed.recipes`; compared with
      what a configuration asks for.
  """

  name: str
  width: pydantic.PositiveInt
  dtype: Literal["float32", "bfloat16", "int64"]
  layout: Literal["rows", "columns", "planes"]
  recipe: dict[str, Value] = {}

  @pydantic.model_validator(mode="after")
  def _check_layout(self) -> "PackedArray":
    other = "columns" if self.dtype == "int64" else "planes"
    if self.layout == other:
      allowed = "rows, planes" if self.dtype == "int64" else "rows, columns"
      raise inconsistent(f"layout: found {other} for {self.dtype}, allowed: {allowed}")
    return self

  @property
  def array(self) -> Array:
    """What the layout has to know of it."""
    return Array(self.name, self.width, self.dtype, self.layout)


class PackedShard(StrictModel):
  """One file.

  Attributes:
    name: in the folder.
    examples: how many it holds.
    size: bytes.
  """

  name: str
  examples: pydantic.NonNegativeInt
  size: pydantic.NonNegativeInt


class Manifest(StrictModel):
  """Everything one has to know of a folder to read it.

  Attributes:
    format: says what this is.
    version: of the layout.
    rows: the most examples a record holds.
    arrays: what each record holds besides `rows`.
    labels: the columns of the array `labels`, names in the records; with `label_recipes`.
    label_recipes: how each was made, by name.
    digest: of all that was fixed at packing: arrays, recipes, labels.
    section: the data section that was packed, and where its records lay.
    sources: the files the examples are from, below the folder that the section names.
    examples: over all shards.
    shards: the files.
  """

  format: Literal["packed records"]
  version: int
  rows: pydantic.PositiveInt
  arrays: list[PackedArray] = pydantic.Field(min_length=1)
  labels: list[str]
  label_recipes: dict[str, dict[str, Value]]
  digest: str
  section: str
  sources: list[str]
  examples: pydantic.NonNegativeInt
  shards: list[PackedShard]

  def array(self, name: str) -> Optional[PackedArray]:
    """Returns the array of a name, if there is one."""
    return next((array for array in self.arrays if array.name == name), None)

  def names(self, prefix: str) -> list[str]:
    """Returns the names of the features or the probabilities."""
    return [each.name[len(prefix) :] for each in self.arrays if each.name.startswith(prefix)]


def path_in(folder: str) -> str:
  """Returns where a folder's manifest lies."""
  return os.path.join(folder, FILE_NAME)


def write(folder: str, manifest: Manifest) -> None:
  """Writes a folder's manifest, whole or not at all.

  Raises:
    StorageError: it cannot be written.
  """
  files.write(path_in(folder), json.dumps(manifest.model_dump(), indent=1) + "\n", WAY_OUT)


def read(folder: str, key: str) -> Manifest:
  """Reads a folder's manifest.

  Args:
    folder: where the shards lie.
    key: the data section's path in the configuration, for the messages.

  Raises:
    DataError: there is none, it is damaged, or of another version.
  """
  path = path_in(folder)
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      content = json.loads(file.read())
  except tf.errors.NotFoundError:
    raise DataError(
      f"{path}: the file is missing, which every folder of packed records has (its packing may not "
      "have ended). Pack the records with //tfrecords:pack, or read records that are not packed "
      f"with --set {key}.packed=false"
    ) from None
  except tf.errors.OpError as error:
    raise DataError(f"{path}: cannot be read: {reason(error)}") from None
  except (ValueError, RecursionError) as error:
    raise DataError(f"{path}: is no JSON: {error}. Pack the records again") from None
  found = content.get("version") if isinstance(content, dict) else None
  if isinstance(found, int) and content.get("format") == FORMAT and found != VERSION:
    raise DataError(
      f"{path}: found version {found} of the layout, allowed: {VERSION}. Pack the records again "
      "with this program"
    )
  try:
    manifest = validate(Manifest, content, path)
  except ConfigError as error:
    raise DataError(f"{error}\nPack the records again with //tfrecords:pack") from None
  _check(manifest, path)
  return manifest


def _check(manifest: Manifest, path: str) -> None:
  names = [array.name for array in manifest.arrays]
  integers = {LABELS: len(manifest.labels), RECTIFIED: len(manifest.labels), SOURCE: 1, POSITION: 1}
  found = {name: manifest.array(name) for name in integers}
  problems = {
    "arrays: a name stands there twice": len(set(names)) < len(names),
    "label_recipes: not those of the labels": set(manifest.label_recipes) != set(manifest.labels),
  }
  for name, array in found.items():
    is_usable = array is not None and (array.width, array.dtype) == (integers[name], "int64")
    is_missed = array is not None or name != RECTIFIED
    problems[f"arrays: {name} is missing or not as it should be"] = is_missed and not is_usable
  for problem, is_there in problems.items():
    if is_there:
      raise DataError(f"{path}: {problem}. Pack the records again with //tfrecords:pack")

"""What is validated: which files, against which schema and bounds."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

import tensorflow as tf

from tfrecords import paths, schema
from tfrecords.config.checks import DataChecks
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError, DataError, reason
from tfrecords.schema import VARIABLE_LENGTH, Feature
from tfrecords.shards import files_of, find_files

# Name inside the model and, where there is no configuration, in the record.
_USUAL_IDS = (("meta__user_id", "meta.user_id"), ("meta__tweet_id", "meta.tweet_id"))


@dataclass(frozen=True)
class Subject:
  """A set of files that belong together.

  Attributes:
    key: the data section's path in the configuration, or the flag that gave the files.
    files: their paths, in the order in which duplicates count.
    features: all of the schema, by name in the record; `Feature.name` is that inside the model.
    labels: those that are labels, by name in the record.
    may_lack_labels: whether a record without a label is a negative.
    checks: bounds and severities.
    id_features: those that together say which record this is, by name in the record.
    column_names: feature's name in the record -> a name for each column.
  """

  key: str
  files: tuple[str, ...]
  features: Mapping[str, Feature]
  labels: tuple[str, ...]
  may_lack_labels: bool
  checks: DataChecks
  id_features: tuple[str, ...]
  column_names: Mapping[str, tuple[str, ...]]

  def bounds(self, feature: str) -> tuple[float, float]:
    """Returns the allowed shares of missing and of non-finite values, by name in the record."""
    own = self._own_checks().get(feature)
    checks = self.checks
    missing = own.max_missing_share if own is not None else None
    non_finite = own.max_non_finite_share if own is not None else None
    return (
      checks.max_missing_share if missing is None else missing,
      checks.max_non_finite_share if non_finite is None else non_finite,
    )

  def _own_checks(self) -> dict:
    return {
      find_feature(name, self.features, ""): checks for name, checks in self.checks.features.items()
    }


def subject_of_section(config: DataConfig, key: str, given: Sequence[str] = ()) -> Subject:
  """Returns what a data section reads.

  Args:
    config: the section.
    key: its path in the configuration.
    given: files, folders and globs to look at instead of the section's.

  Raises:
    ConfigError: the section does not fit its schema, or its checks name what it does not have.
    DataError: there is no file, or schema or column names cannot be used.
  """
  path = config.seg_dense_schema.schema_path
  every = schema.load_schema(path, f"{key}.seg_dense_schema.schema_path")
  names = {
    feature.record_name: feature.name for feature in schema.features_of(config, key).values()
  }
  features = {name: replace(f, name=names.get(name, name)) for name, f in every.items()}
  return _subject(
    key,
    features,
    tuple(config.tasks),
    config.checks,
    config.missing_labels == "zero",
    tuple(find_given(given)) if given else tuple(files_of(config, key)),
  )


def subject_of_files(
  given: Sequence[str], schema_path: str, labels: Sequence[str], checks: DataChecks
) -> Subject:
  """Returns files with a schema and no configuration.

  Args:
    given: files, folders and globs.
    schema_path: the schema file.
    labels: those of its features that have to be 0 or 1.
    checks: bounds and severities; they name features as records do.

  Raises:
    ConfigError: a label is no feature of the schema.
    DataError: there is no file, or the schema cannot be used.
  """
  features = schema.load_schema(schema_path, "--schema")
  for label in labels:
    feature = features.get(label)
    if feature is None or (feature.dtype, feature.length) != ("int64_list", 1):
      found = "no feature" if feature is None else f"{feature.dtype} of length {feature.length}"
      raise ConfigError(
        f"--labels: the schema {schema_path} has {found} {label!r}"
        f"{did_you_mean(label, features) if feature is None else ''}, allowed: features that are "
        "int64_list of length 1"
      )
  return _subject("--files", features, tuple(labels), checks, False, tuple(find_given(given)))


def find_given(given: Sequence[str]) -> list[str]:
  """Returns the files that paths, folders and globs mean, each once; those of folders by name.

  Raises:
    DataError: one of them means no file.
  """
  found: dict[str, None] = {}
  for name in given:
    path = paths.resolve(name, "--files")
    try:
      is_folder = tf.io.gfile.isdir(path)
      if not is_folder and tf.io.gfile.exists(path):
        found[path] = None
        continue
    except tf.errors.OpError as error:
      raise DataError(f"--files: {path} cannot be looked at: {reason(error)}") from None
    pattern = os.path.join(path, "*") if is_folder else path
    try:
      found.update(dict.fromkeys(find_files(pattern, "--files")))
    except DataError:
      what = "the folder holds no file" if is_folder else "there is no such file"
      raise DataError(
        f"--files: {path}: {what}. Give files, folders or globs with --files=PATH"
      ) from None
  return list(found)


def find_feature(name: str, features: Mapping[str, Feature], where: str) -> str:
  """Returns the record's name of a feature that may be given by either of its names.

  Args:
    name: inside the model or in the record.
    features: by name in the record.
    where: the key it comes from, for the message.

  Raises:
    ConfigError: there is none.
  """
  if name in features:
    return name
  by_name = {feature.name: record_name for record_name, feature in features.items()}
  if name not in by_name:
    raise ConfigError(
      f"{where}: found {name!r}, which the schema does not hold"
      f"{did_you_mean(name, [*by_name, *features])}; allowed: {', '.join(by_name)}"
    )
  return by_name[name]


def _subject(
  key: str,
  features: Mapping[str, Feature],
  labels: tuple[str, ...],
  checks: DataChecks,
  may_lack_labels: bool,
  files: tuple[str, ...],
) -> Subject:
  where = f"{key}.checks"
  column_names = {}
  for name, own in checks.features.items():
    feature = features[find_feature(name, features, f"{where}.features")]
    if own.column_names is not None:
      names_key = f"{where}.features.{name}.column_names"
      column_names[feature.record_name] = _read_names(own.column_names, feature, names_key)
  ids = _id_features(checks.id_features, features, f"{where}.id_features")
  return Subject(key, files, features, labels, may_lack_labels, checks, ids, column_names)


def _id_features(
  given: Optional[Sequence[str]], features: Mapping[str, Feature], where: str
) -> tuple[str, ...]:
  if given is None:
    by_name = {feature.name: name for name, feature in features.items()}
    usual = [
      next((by_name[name] for name in names if name in by_name), None) for names in _USUAL_IDS
    ]
    are_ids = all(name is not None and _is_id(features[name]) for name in usual)
    return tuple(usual) if are_ids else ()
  found = tuple(find_feature(name, features, where) for name in given)
  for name in found:
    if not _is_id(features[name]):
      raise ConfigError(
        f"{where}: found {name!r}, which is {features[name].dtype} of length "
        f"{features[name].length}, allowed: one integer or string an example"
      )
  return found


def _is_id(feature: Feature) -> bool:
  return feature.length == 1 and feature.dtype != "float_list"


def _read_names(path: str, feature: Feature, key: str) -> tuple[str, ...]:
  resolved = paths.resolve(path, key)
  try:
    with tf.io.gfile.GFile(resolved, "r") as file:
      names = file.read().split("\n")
  except (tf.errors.OpError, UnicodeDecodeError) as error:
    raise DataError(f"{key}: {resolved} cannot be read: {reason(error)}") from None
  names = names[:-1] if names[-1] == "" else names
  if feature.length not in (VARIABLE_LENGTH, len(names)):
    raise DataError(
      f"{key}: {resolved} holds {len(names)} line(s), allowed: {feature.length}, a name a column "
      f"of {feature.record_name!r}"
    )
  return tuple(name.strip() for name in names)

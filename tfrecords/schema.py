"""What a record holds: the schema file, and which features a model reads under which name."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import tensorflow as tf

from tfrecords import paths, remote_storage
from tfrecords.config.data import DataConfig
from tfrecords.config.sizes import MOST_FEATURE_VALUES
from tfrecords.config.strict_model import describe, did_you_mean
from tfrecords.errors import ConfigError, DataError

# dtype in the schema file -> dtype of the parsed tensor.
DTYPES = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}
VARIABLE_LENGTH = -1


@dataclass(frozen=True)
class Feature:
  """One feature of a record.

  Attributes:
    record_name: its key in the tf.Example.
    name: what it is called inside the model.
    dtype: "int64_list", "float_list" or "bytes_list".
    length: number of values; VARIABLE_LENGTH for any number.
    masked_mantissa_bits: how many low mantissa bits parsing sets to zero.
  """

  record_name: str
  name: str
  dtype: str
  length: int
  masked_mantissa_bits: int = 0

  @property
  def tensor_dtype(self) -> tf.DType:
    """The dtype the feature has once parsed."""
    return DTYPES[self.dtype]


def load_schema(path: str, key: str = "schema_path") -> dict[str, Feature]:
  """Reads a schema file, `{"schema": [{"feature_name", "dtype", "length"}, ...]}`.

  Args:
    path: the JSON file.
    key: the configuration key it comes from, for the messages.

  Returns:
    The features by their name in the record.

  Raises:
    DataError: the file cannot be read or is no such schema; names the entry.
  """
  resolved = paths.resolve(path, key)
  try:
    with tf.io.gfile.GFile(resolved, "r") as file:
      content = json.loads(file.read())
  except tf.errors.OpError as error:
    raise DataError(
      f"{key}: {resolved} cannot be read: {error.message}{remote_storage.hint(resolved)}. Give the "
      f"schema's path with --set {key}=PATH"
    ) from None
  except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError.
    raise DataError(f"{key}: {resolved} is no JSON: {error}") from None
  entries = content.get("schema") if isinstance(content, dict) else None
  if not isinstance(entries, list):
    raise DataError(f'{resolved}: found no list under "schema", allowed: {{"schema": [...]}}')
  features: dict[str, Feature] = {}
  for index, entry in enumerate(entries):
    feature = _feature(entry, f"{resolved}: schema[{index}]")
    if feature.record_name in features:
      raise DataError(f"{resolved}: feature {feature.record_name!r} is listed twice, allowed: once")
    features[feature.record_name] = feature
  return features


def _feature(entry: Mapping, origin: str) -> Feature:
  if not isinstance(entry, Mapping) or not {"feature_name", "dtype", "length"} <= set(entry):
    raise DataError(f"{origin}: found {entry!r}, allowed: feature_name, dtype and length")
  name, dtype, length = entry["feature_name"], entry["dtype"], entry["length"]
  if not isinstance(name, str) or not name:
    raise DataError(f"{origin}: found feature_name {name!r}, allowed: a name")
  if not isinstance(dtype, str) or dtype not in DTYPES:
    raise DataError(f"{origin} ({name}): found dtype {dtype!r}, allowed: {', '.join(DTYPES)}")
  is_number = isinstance(length, int) and not isinstance(length, bool)
  if not is_number or (length < 1 and length != VARIABLE_LENGTH):
    raise DataError(
      f"{origin} ({name}): found length {length!r}, allowed: at least 1, or -1 for any number"
    )
  if length > MOST_FEATURE_VALUES:
    raise DataError(
      f"{origin} ({name}): found length {describe(length)}, allowed: at most {MOST_FEATURE_VALUES}"
    )
  return Feature(record_name=name, name=name, dtype=dtype, length=length)


def features_of(config: DataConfig, key: str = "train_data") -> dict[str, Feature]:
  """Returns the features a data section reads, labels included, by their name inside the model.

  Raises:
    ConfigError: the section names a feature or a task that the schema does not hold.
    DataError: the schema file cannot be used.
  """
  section = config.seg_dense_schema
  path = f"{key}.seg_dense_schema"
  schema = load_schema(section.schema_path, f"{path}.schema_path")
  chosen = schema if section.features is None else section.features
  _require_known([*chosen, *section.renamed_features.values()], schema, path)
  names = {record_name: name for name, record_name in section.renamed_features.items()}
  features = {}
  for record_name in schema:
    is_label = record_name in config.tasks
    if record_name not in chosen and record_name not in names and not is_label:
      continue
    feature = schema[record_name]
    name = names.get(record_name, record_name)
    if name in features:
      raise ConfigError(
        f"{path}.renamed_features.{name}: two features of the schema would bear this name, found "
        f"{features[name].record_name!r} and {record_name!r}, allowed: one"
      )
    features[name] = Feature(record_name, name, feature.dtype, feature.length)
  for task in config.tasks:
    label = features.get(task)
    if label is None and task in names:
      raise ConfigError(
        f"{path}.renamed_features.{names[task]}: found {task!r}, which is a task of {key}.tasks, "
        "allowed: features; a label has its task's name"
      )
    if label is None:
      raise ConfigError(
        f"{key}.tasks.{task}: the schema {section.schema_path} has no such label"
        f"{did_you_mean(task, [*schema, *section.renamed_features])}"
      )
    if label.dtype != "int64_list" or label.length != 1:
      raise ConfigError(
        f"{key}.tasks.{task}: the schema {section.schema_path} says {label.dtype} of length "
        f"{label.length}, allowed for a label: int64_list of length 1"
      )
  return {**features, **_masked(section.mask_mantissa_features or {}, features, path)}


def _masked(
  bits: Mapping[str, int], features: Mapping[str, Feature], path: str
) -> dict[str, Feature]:
  masked = {}
  for name, n_bits in bits.items():
    where = f"{path}.mask_mantissa_features.{name}"
    if name not in features:
      raise ConfigError(
        f"{where}: this section reads no such feature{did_you_mean(name, features)}; allowed: "
        f"{', '.join(features)}"
      )
    if features[name].dtype != "float_list":
      raise ConfigError(f"{where}: found a feature of {features[name].dtype}, allowed: float_list")
    masked[name] = replace(features[name], masked_mantissa_bits=n_bits)
  return masked


def _require_known(names: Iterable[str], schema: Mapping[str, Feature], path: str) -> None:
  for name in names:
    if name not in schema:
      raise ConfigError(f"{path}: the schema has no feature {name!r}{did_you_mean(name, schema)}")

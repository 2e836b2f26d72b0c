"""The statistics of `z_score_log_config`: from the file to the columns the model sees."""

from typing import Optional

import numpy as np
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.layers.z_score_featurization import to_weights
from tfrecords import paths, schema
from tfrecords.errors import ConfigError, DataError, UserError
from tfrecords.slicing import Slicing
from tfrecords.statistics_reader import LogStatistics, read_statistics

_FEATURE = "continuous"
_SECTION = "model.featurization_config.z_score_log_config"
_KEY = f"{_SECTION}.analysis_path"


def load_z_score_statistics(config: HeavyRankerConfig, width: int) -> LogStatistics:
  """Reads the statistics of those columns of `continuous` that preprocessing keeps.

  Args:
    config: the whole configuration.
    width: how many columns the model sees.

  Raises:
    ConfigError: the statistics are of records of another shape.
    DataError: the file cannot be used.
  """
  section, data = config.model.featurization_config.z_score_log_config, config.train_data
  features = schema.features_of(data)
  if _FEATURE not in features:
    raise ConfigError(
      f"{_SECTION}: there are statistics of what records hold, but {_FEATURE!r} is none of their "
      f"features; found: {', '.join(features)}"
    )
  feature = features[_FEATURE]
  if section.schema_path is not None:
    _check_schema(section.schema_path, feature)
  slicing = data.preprocess and data.preprocess.truncate_and_slice
  columns = Slicing(slicing, "train_data.preprocess.truncate_and_slice").columns(feature)
  if len(columns) != width:
    raise ConfigError(
      f"{_SECTION}: the model's input {_FEATURE!r} has {width} columns, allowed: {len(columns)}, "
      "those that train_data.preprocess leaves of the schema's"
    )
  file_format = "rows" if section.use_bq_stats else "json"
  found = read_statistics(section.analysis_path, feature.record_name, file_format, _KEY)
  if not columns[-1] < len(found.mean) <= feature.length:
    raise DataError(
      f"{paths.resolve(section.analysis_path, _KEY)}: feature {feature.record_name!r}: found "
      f"{len(found.mean)} columns, allowed: {columns[-1] + 1} (up to the last one in use) to "
      f"{feature.length} (the length in the schema). Write the file again with //tfrecords:analyze"
    )
  return LogStatistics(found.mean[columns], found.std[columns])


def _check_schema(path: str, feature: schema.Feature) -> None:
  key = f"{_SECTION}.schema_path"
  analyzed = schema.load_schema(path, key).get(feature.record_name)
  if analyzed is None or analyzed.length != feature.length:
    found = "no such feature" if analyzed is None else f"length {analyzed.length}"
    raise ConfigError(
      f"{key}: {path}: the statistics are of other records: found {found} for "
      f"{feature.record_name!r}, allowed: length {feature.length}, as in "
      "train_data.seg_dense_schema. Write new statistics with //tfrecords:analyze"
    )


def notice_of_kept_statistics(config: HeavyRankerConfig, ranker: keras.Model) -> Optional[str]:
  """Returns what to tell when a ranker's statistics are not those that the file holds now.

  A checkpoint brings its statistics along: the weights behind them were trained with them.

  Args:
    config: the whole configuration.
    ranker: the model, its weights restored.
  """
  section = config.model.featurization_config.z_score_log_config
  if section is None:
    return None
  layer = ranker.get_layer("featurization")
  kept = "the z-score statistics are the checkpoint's"
  try:
    mean, std = to_weights(load_z_score_statistics(config, int(layer.mean.shape[0])))
  except UserError as error:
    return f"{kept}; {error}"
  if np.array_equal(layer.mean.numpy(), mean) and np.array_equal(layer.std.numpy(), std):
    return None
  return (
    f"{kept}: {section.analysis_path} holds others by now, which only a run from the start takes"
  )

"""`extract_features`: columns of dense tensors that become features of their own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Optional

import tensorflow as tf

from tfrecords.config.data import ExtractFeature, ExtractFeatures
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.schema import VARIABLE_LENGTH, Feature


class FeatureExtractor:
  """Adds the features of `extract_feature_table` to a batch.

  Args:
    section: the section `extract_features`; None adds nothing.
    key: the section's full path, for the messages.

  Attributes:
    sources: name of each new feature -> name of the feature that holds it.
  """

  def __init__(self, section: Optional[ExtractFeatures], key: str):
    self._rows = section.extract_feature_table if section is not None else []
    self._key = f"{key}.extract_feature_table"
    self.sources = {row.name: row.source_tensor for row in self._rows}

  def outputs(
    self,
    features: Mapping[str, Feature],
    tasks: Iterable[str],
    width: Callable[[Feature], int],
    names: Optional[Iterable[str]] = None,
  ) -> dict[str, Feature]:
    """Returns the new features, checked against what records hold.

    Args:
      features: what the data section reads besides labels, by name inside the model.
      tasks: names that labels bear.
      width: how many columns of a feature are left when this step comes.
      names: the new features in use; all when None.

    Raises:
      ConfigError: a source is missing or has no such column, or a name is taken.
    """
    found: dict[str, Feature] = {}
    taken = {*features, *tasks}
    for index, row in enumerate(self._rows):
      where = f"{self._key}.{index}"
      if row.name in taken or row.name in found:
        raise ConfigError(f"{where}.name: found {row.name!r}, which is taken, allowed: a new name")
      source = features.get(row.source_tensor)
      if source is None:
        raise ConfigError(
          f"{where}.source_tensor: the section reads no feature {row.source_tensor!r}"
          f"{did_you_mean(row.source_tensor, features)}; allowed: {', '.join(features)}"
        )
      if source.length == VARIABLE_LENGTH or source.tensor_dtype is tf.string:
        raise ConfigError(
          f"{where}.source_tensor: found {row.source_tensor!r}, which is {source.dtype} of length "
          f"{source.length}, allowed: numbers of a fixed length"
        )
      if names is None or row.name in names:
        self._check_index(row, width(source), where)
      found[row.name] = Feature(source.record_name, row.name, source.dtype, 1)
    return found

  def column(self, name: str) -> Optional[int]:
    """Returns which column of its source a new feature is; None for any other feature."""
    return next((row.index for row in self._rows if row.name == name), None)

  def _check_index(self, row: ExtractFeature, columns: int, where: str) -> None:
    if not -columns <= row.index < columns:
      raise ConfigError(
        f"{where}.index: found {row.index}, allowed: {-columns} to {columns - 1}, since "
        f"{row.source_tensor!r} has {columns} column(s) here"
      )

  def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Adds the new features [batch] of those sources [batch, length] that are there."""
    result = dict(features)
    for row in self._rows:
      if row.source_tensor in features:
        result[row.name] = features[row.source_tensor][:, row.index]
    return result

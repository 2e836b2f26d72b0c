"""What happens to a parsed batch before the model sees it; training and serving share it."""

from collections.abc import Iterable, Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.config.data import DataConfig, Preprocess
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.extracted_features import FeatureExtractor
from tfrecords.rectified_labels import LabelRectifier
from tfrecords.schema import Feature
from tfrecords.slicing import Slicing


class Preprocessor:
  """The steps of `preprocess`: slice, downcast, rectify labels, extract features.

  Args:
    config: the section `preprocess`; None keeps every batch as it is.
    key: the section's full path, for the messages.

  Raises:
    ConfigError, DataError: a mask file cannot be used.
  """

  def __init__(self, config: Optional[Preprocess], key: str = "train_data.preprocess"):
    config = config or Preprocess()
    self._key = key
    self._slice = Slicing(config.truncate_and_slice, f"{key}.truncate_and_slice")
    self._dtypes = dict(config.downcast.features) if config.downcast is not None else {}
    self._rectify = LabelRectifier(config.rectify_labels, f"{key}.rectify_labels")
    self._extract = FeatureExtractor(config.extract_features, f"{key}.extract_features")

  def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Preprocesses a batch.

    Args:
      features: tensors [batch, length] by name inside the model; labels int64 [batch, 1].

    Returns:
      The same features, `continuous` and `binary` with the columns that are kept, those of
      `downcast` in their new dtype, labels rectified; and the extracted features [batch].
    """
    result = self._slice(features)
    for name, dtype in self._dtypes.items():
      if name in result:
        result[name] = tf.cast(result[name], dtype)
    return self._extract(self._rectify(result))

  def width(self, feature: Feature) -> int:
    """Returns how many columns of a dense feature are left.

    Raises:
      ConfigError: truncation or mask do not fit the feature's length in the schema.
    """
    return self._slice.width(feature)

  def columns(self, feature: Feature) -> np.ndarray:
    """Returns which columns of a dense feature are left, as their places in the record, in order.

    Raises:
      ConfigError: see `width`.
    """
    return self._slice.columns(feature)

  def outputs(
    self,
    features: Mapping[str, Feature],
    tasks: Iterable[str],
    names: Optional[Iterable[str]] = None,
  ) -> dict[str, Feature]:
    """Returns the features there are after preprocessing, without the labels.

    Args:
      features: what the data section reads, by name inside the model, labels included.
      tasks: the section's labels.
      names: the features in use; all when None. Widths of others are not checked.

    Raises:
      ConfigError: a step does not fit what the records hold.
    """
    tasks = list(tasks)
    inputs = {name: feature for name, feature in features.items() if name not in tasks}
    for name in self._dtypes:
      self._check_downcast(name, inputs)
    self._rectify.check(inputs, tasks)
    for name in self._rectify.timestamps(tasks):
      if name in self._dtypes:
        raise ConfigError(
          f"{self._key}.downcast.features.{name}: found a timestamp that rectify_labels reads, "
          "allowed: other features"
        )
    extracted = self._extract.outputs(inputs, tasks, self.width, names)
    return {**inputs, **extracted}

  def sources(self, names: Iterable[str], labels: Iterable[str] = ()) -> list[str]:
    """Returns what has to be parsed, labels apart, by name inside the model.

    Args:
      names: features after preprocessing, out of `outputs`.
      labels: the labels in use.
    """
    needed = [self._extract.sources.get(name, name) for name in names]
    return list(dict.fromkeys([*needed, *self._rectify.timestamps(labels)]))

  def origin(self, name: str) -> tuple[str, Optional[int]]:
    """Returns the feature that one of `outputs` is made of, and its column if it is extracted."""
    return self._extract.sources.get(name, name), self._extract.column(name)

  def downcast(self, name: str) -> Optional[str]:
    """Returns the dtype a feature is rounded to, if it is."""
    return self._dtypes.get(name)

  def rectification(self, label: str) -> Optional[tuple[float, list[str]]]:
    """Returns the window in hours and the timestamps a label is rectified with, if it is."""
    timestamps = self._rectify.timestamps([label])
    return (self._rectify.window_in_hours, timestamps) if timestamps else None

  def _check_downcast(self, name: str, inputs: Mapping[str, Feature]) -> None:
    where = f"{self._key}.downcast.features.{name}"
    if name not in inputs:
      raise ConfigError(
        f"{where}: the section reads no such feature{did_you_mean(name, inputs)}; allowed: "
        f"{', '.join(inputs)}"
      )
    if inputs[name].tensor_dtype is tf.string:
      raise ConfigError(f"{where}: found a feature of {inputs[name].dtype}, allowed: numbers")


def dense_widths(
  config: DataConfig, features: Mapping[str, Feature], key: str = "train_data"
) -> dict[str, int]:
  """Returns the width of every dense numeric feature after preprocessing, by name.

  Raises:
    ConfigError, DataError: the section `preprocess` cannot be used.
  """
  preprocessor = Preprocessor(config.preprocess, f"{key}.preprocess")
  every = {**features, **preprocessor.outputs(features, config.tasks)}
  return {
    name: preprocessor.width(feature) if name in features else 1
    for name, feature in every.items()
    if feature.length > 0 and feature.tensor_dtype is not tf.string
  }


def model_inputs(
  batch: Mapping[str, tf.Tensor], outputs: Mapping[str, Feature]
) -> dict[str, tf.Tensor]:
  """Brings a preprocessed batch into the shape and the dtypes the model takes.

  Args:
    batch: tensors by name.
    outputs: those to take, out of `Preprocessor.outputs`.

  Returns:
    Each of `outputs`, [batch, width]: floats and `binary` as float32, integers as int64, whatever
    `downcast` made of them; strings and features of variable length as they are.
  """
  return {name: _model_input(batch[name], feature) for name, feature in outputs.items()}


def _model_input(tensor: tf.Tensor, feature: Feature) -> tf.Tensor:
  column = tensor[:, tf.newaxis] if tensor.shape.rank == 1 else tensor
  dtype = tf.float32 if feature.name == "binary" else feature.tensor_dtype
  return column if column.dtype == dtype else tf.cast(column, dtype)

"""`truncate_and_slice`: the columns of dense features that are kept."""

from collections.abc import Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords import paths
from tfrecords.config.data import TruncateAndSlice
from tfrecords.errors import ConfigError, DataError
from tfrecords.schema import VARIABLE_LENGTH, Feature

_SLICED = ("continuous", "binary")


class Slicing:
  """Truncates and slices the dense features of a batch.

  Args:
    section: the section `truncate_and_slice`; None keeps every batch as it is.
    key: the section's full path, for the messages.

  Raises:
    ConfigError, DataError: a mask file cannot be used.
  """

  def __init__(self, section: Optional[TruncateAndSlice], key: str):
    self._key = key
    self._truncation: dict[str, int] = {}
    self._columns: dict[str, np.ndarray] = {}
    for name in _SLICED if section is not None else ():
      truncation = getattr(section, f"{name}_feature_truncation")
      mask_path = getattr(section, f"{name}_feature_mask_path")
      if truncation is not None:
        self._truncation[name] = truncation
      if mask_path is not None:
        self._columns[name] = _load_mask(mask_path, f"{self._key}.{name}_feature_mask_path")

  def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Slices a batch.

    Args:
      features: tensors [batch, length] by name inside the model.

    Returns:
      The same features, `continuous` and `binary` with the columns that are kept.
    """
    result = dict(features)
    for name, width in self._truncation.items():
      if name in result:
        result[name] = result[name][:, :width]
    for name, mask in self._columns.items():
      if name in result:
        result[name] = tf.gather(result[name], np.flatnonzero(mask), axis=1)
    return result

  def width(self, feature: Feature) -> int:
    """Returns how many columns of a dense feature are left.

    Raises:
      ConfigError: truncation or mask do not fit the feature's length in the schema.
    """
    width = feature.length
    truncation = self._truncation.get(feature.name)
    mask = self._columns.get(feature.name)
    if width == VARIABLE_LENGTH and not (truncation is None and mask is None):
      raise ConfigError(
        f"{self._key}: {feature.name!r} has a variable length in the schema, allowed: a fixed one"
      )
    if truncation is not None:
      if truncation > width:
        raise ConfigError(
          f"{self._key}.{feature.name}_feature_truncation: found {truncation}, allowed: at most "
          f"{width}, the feature's length in the schema"
        )
      width = truncation
    if mask is not None:
      if len(mask) != width:
        raise ConfigError(
          f"{self._key}.{feature.name}_feature_mask_path: the mask has {len(mask)} entries, "
          f"allowed: {width}, one for each column that truncation leaves"
        )
      width = int(np.count_nonzero(mask))
    return width

  def columns(self, feature: Feature) -> np.ndarray:
    """Returns which columns of a dense feature are left, as their places in the record, in order.

    Raises:
      ConfigError: see `width`.
    """
    self.width(feature)
    kept = np.arange(feature.length)[: self._truncation.get(feature.name)]
    mask = self._columns.get(feature.name)
    return kept if mask is None else kept[mask]


def _load_mask(path: str, key: str) -> np.ndarray:
  resolved = paths.resolve(path, key)
  try:
    with tf.io.gfile.GFile(resolved, "rb") as file:
      # Not np.load: that also opens archives, and anything else as if it were a pickle.
      mask = np.lib.format.read_array(file, allow_pickle=False)
  except tf.errors.OpError as error:
    raise DataError(f"{key}: {resolved} cannot be read: {error.message}") from None
  except Exception as error:  # noqa: BLE001 - a damaged header leads NumPy to nearly any of them.
    raise DataError(
      f"{key}: {resolved} is no .npy file of numbers that can be read ({error}); write one with "
      "numpy.save"
    ) from None
  is_numeric = mask.dtype.kind in "biuf"
  if mask.ndim != 1 or not is_numeric or not np.isin(mask, (0, 1)).all() or not mask.any():
    raise DataError(
      f"{key}: {resolved} holds {_outline(mask)}, allowed: a vector of 0 and 1 (or booleans) with "
      "at least one 1"
    )
  return mask.astype(bool)


def _outline(mask: np.ndarray) -> str:
  values = np.array2string(mask.ravel(), threshold=6, edgeitems=3)
  return f"{mask.dtype} of shape {mask.shape}: {values}"

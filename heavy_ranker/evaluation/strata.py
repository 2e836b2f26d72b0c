"""`model.stratifiers`: examples by the value of a discrete feature."""

from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from heavy_ranker.config.model import StratifierConfig
from tfrecords.errors import ConfigError
from tfrecords.schema import Feature

FEATURE = "discrete"


class Strata:
  """Tells which examples belong to which stratum.

  Args:
    stratifiers: the section; None or empty means no strata.
    features: what the partition reads, by name inside the model.
    key: the partition's path in the configuration, for the messages.

  Attributes:
    names: the strata's names.

  Raises:
    ConfigError: there is no feature `discrete`, or it has no column of that index.
  """

  def __init__(
    self,
    stratifiers: Optional[Sequence[StratifierConfig]],
    features: Mapping[str, Feature],
    key: str,
  ):
    self._stratifiers = list(stratifiers or ())
    self.names = tuple(stratifier.name for stratifier in self._stratifiers)
    if not self._stratifiers:
      return
    feature = features.get(FEATURE)
    if feature is None or feature.dtype == "bytes_list" or feature.length < 1:
      raise ConfigError(
        f"model.stratifiers: {key} reads no {FEATURE!r}, allowed: a vector of numbers by that "
        f"name; name it under {key}.seg_dense_schema.renamed_features"
      )
    for position, stratifier in enumerate(self._stratifiers):
      if stratifier.index >= feature.length:
        raise ConfigError(
          f"model.stratifiers.{position}.index: found {stratifier.index}, allowed: 0 to "
          f"{feature.length - 1}, since {FEATURE!r} of {key} has {feature.length} column(s)"
        )

  def of(self, discrete: Optional[np.ndarray]) -> Optional[np.ndarray]:
    """Returns which examples belong to each stratum, bool [strata, n]; None without strata.

    Args:
      discrete: the feature, [n, columns].
    """
    if not self._stratifiers or discrete is None:
      return None
    return np.stack([discrete[:, each.index] == each.value for each in self._stratifiers])

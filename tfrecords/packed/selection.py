"""Which arrays of packed records a data section reads, and whether they are what it asks for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.packed import recipes
from tfrecords.packed.layout import Array
from tfrecords.packed.manifest import (
  FEATURE,
  LABELS,
  POSITION,
  PROBABILITY,
  RECTIFIED,
  SOURCE,
  Manifest,
  PackedArray,
)
from tfrecords.packed.recipes import Recipe

_AGAIN = (
  "Pack the records again with this configuration (//tfrecords:pack), or use the one they were "
  "packed with"
)


class Selection:
  """The arrays to read.

  Args:
    manifest: what there is.
    features: the features in use with the recipe each has to have, by name inside the model.
    labels: the labels in use likewise.
    probabilities: the recorded probabilities in use.
    key: the data section's path in the configuration, for the messages.

  Attributes:
    arrays: in the order in which they are decoded.
    features: the array of each feature, by name inside the model.
    probabilities: likewise of each recorded probability.
    labels: each label's column in the array LABELS, and in RECTIFIED.
    rectified: those of the labels that are read rectified.

  Raises:
    ConfigError: something in use was not packed, or was made otherwise.
  """

  def __init__(
    self,
    manifest: Manifest,
    features: Mapping[str, Recipe],
    labels: Mapping[str, Recipe],
    probabilities: Iterable[str],
    key: str,
  ):
    self._manifest, self._key = manifest, key
    self.features = {name: FEATURE + name for name in features}
    self.probabilities = {name: PROBABILITY + name for name in probabilities}
    self.labels = {task: self._column(task) for task in labels}
    self.rectified = tuple(task for task, recipe in labels.items() if recipe["rectified"])
    found = [self._feature(name, recipe) for name, recipe in features.items()]
    found += [self._require(PROBABILITY, name) for name in self.probabilities]
    for task in self.rectified:
      self._compare(task, manifest.label_recipes[task], labels[task])
    others = [LABELS] * bool(labels) + [RECTIFIED] * bool(self.rectified) + [SOURCE, POSITION]
    found += [manifest.array(name) for name in others]
    self.arrays: Sequence[Array] = [each.array for each in found]

  def _feature(self, name: str, recipe: Recipe) -> PackedArray:
    array = self._require(FEATURE, name)
    self._compare(name, array.recipe, recipe)
    return array

  def _require(self, prefix: str, name: str) -> PackedArray:
    array: Optional[PackedArray] = self._manifest.array(prefix + name)
    if array is None:
      known = self._manifest.names(prefix)
      raise ConfigError(
        f"{self._key}.packed: {name!r} is needed and was not packed{did_you_mean(name, known)}; "
        f"found: {', '.join(known) or 'none'}. Pack the records again with it: --features names "
        "what is packed, --probability_prefix recorded probabilities"
      )
    return array

  def _column(self, task: str) -> int:
    known = self._manifest.labels
    if task not in known:
      raise ConfigError(
        f"{self._key}.packed: the label {task!r} is needed and was not packed"
        f"{did_you_mean(task, known)}; found: {', '.join(known)}. {_AGAIN}"
      )
    return known.index(task)

  def _compare(self, name: str, packed: Recipe, wanted: Recipe) -> None:
    found = "; ".join(recipes.differences(packed, wanted))
    if found:
      raise ConfigError(f"{self._key}.packed: {name!r}: {found}. {_AGAIN}")

"""Groups of columns: from their places in the records to those in the model's inputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from heavy_ranker.config.feature_groups import FeatureGroupPart
from tfrecords import preprocessing, schema
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError

# Input -> places of columns in the model's input.
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class FeatureGroup:
  """Columns that belong together.

  Attributes:
    name: the group's.
    columns: input -> places of its columns in the model's input; at least one.
    features: the name of each column, input by input.
  """

  name: str
  columns: Columns
  features: tuple[str, ...]

  def singles(self) -> list["FeatureGroup"]:
    """Returns each column as a group of its own."""
    places = [(name, column) for name, columns in self.columns.items() for column in columns]
    return [
      FeatureGroup(feature, {name: np.array([column])}, (feature,))
      for feature, (name, column) in zip(self.features, places)
    ]


class FeatureColumns:
  """The columns that a partition gives the model.

  Args:
    partition: its section.
    key: its path in the configuration, for the messages.
    inputs: the model's.

  Raises:
    ConfigError, DataError: schema or mask files cannot be used.
  """

  def __init__(self, partition: DataConfig, key: str, inputs: Sequence[str]):
    self._key = key
    preprocessor = preprocessing.Preprocessor(partition.preprocess, f"{key}.preprocess")
    features = schema.features_of(partition, key)
    outputs = preprocessor.outputs(features, partition.tasks, inputs)
    self._lengths = {name: outputs[name].length for name in inputs}
    # Place in the record -> place in the model's input.
    self._places = {
      name: {int(place): i for i, place in enumerate(preprocessor.columns(outputs[name]))}
      for name in inputs
    }

  def each_input(self) -> list[FeatureGroup]:
    """Returns a group for each input."""
    return [
      FeatureGroup(name, {name: np.arange(len(places))}, tuple(_names(name, places)))
      for name, places in self._places.items()
    ]

  def groups(
    self, parts: Mapping[str, Sequence[FeatureGroupPart]], path: str
  ) -> tuple[list[FeatureGroup], list[str]]:
    """Returns the groups of a file, and sentences about columns they do without.

    Args:
      parts: group -> its parts, see `heavy_ranker.config.feature_groups`.
      path: the file, for the messages.

    Raises:
      ConfigError: an input or a column does not exist or is in two groups, or no column of any
        group is left.
    """
    owners: dict[tuple[str, int], str] = {}
    groups, notes = [], []
    for name, of_group in parts.items():
      columns = [each for part in of_group for each in self._listed(part, f"{path}: {name}")]
      for column in columns:
        self._claim(column, name, owners, path)
      kept = [column for column in columns if column.place in self._places[column.input]]
      if len(kept) < len(columns):
        notes.append(
          f"{name}: {len(columns) - len(kept)} of its {len(columns)} columns are left out, since "
          f"{self._key}.preprocess.truncate_and_slice cuts them away"
        )
      if kept:
        groups.append(self._group(name, kept))
    if not groups:
      raise ConfigError(
        f"{path}: found no column that {self._key}.preprocess.truncate_and_slice leaves, allowed: "
        "at least one"
      )
    return groups, notes + self._left_over(owners)

  def _listed(self, part: FeatureGroupPart, where: str) -> list["_Column"]:
    length = self._lengths.get(part.input)
    if length is None:
      raise ConfigError(
        f"{where}.input: found {part.input!r}, which the model does not read"
        f"{did_you_mean(part.input, self._lengths)}; allowed: {', '.join(self._lengths)}"
      )
    spans = part.spans() if part.columns is not None else [range(length)]
    for span in spans:
      if span.stop > length:
        raise ConfigError(
          f"{where}.columns: found {span.stop - 1}, allowed: 0 to {length - 1}, as many as "
          f"{part.input!r} has in the records"
        )
    places = [place for span in spans for place in span]
    names = part.names if part.names is not None else _names(part.input, places)
    if len(names) != len(places):
      raise ConfigError(
        f"{where}.names: found {len(names)}, allowed: {len(places)}, one for each column"
      )
    return [_Column(part.input, place, name) for place, name in zip(places, names)]

  def _claim(
    self, column: "_Column", group: str, owners: dict[tuple[str, int], str], path: str
  ) -> None:
    where = column.input, column.place
    if where in owners:
      others = f"in {owners[where]!r} and" if owners[where] != group else "twice"
      raise ConfigError(
        f"{path}: column {column.place} of {column.input!r} is {others} in {group!r}, allowed: once"
      )
    owners[where] = group

  def _group(self, name: str, columns: Sequence["_Column"]) -> FeatureGroup:
    by_input: dict[str, list[int]] = {}
    for column in columns:
      by_input.setdefault(column.input, []).append(self._places[column.input][column.place])
    inputs = list(by_input)
    ordered = sorted(columns, key=lambda column: inputs.index(column.input))
    arrays = {name: np.array(places) for name, places in by_input.items()}
    return FeatureGroup(name, arrays, tuple(column.name for column in ordered))

  def _left_over(self, owners: Mapping[tuple[str, int], str]) -> list[str]:
    found = []
    for name, places in self._places.items():
      count = sum((name, place) not in owners for place in places)
      if count:
        found.append(f"{count} of the {len(places)} columns of {name} are in no group")
    return found


class _Column(NamedTuple):
  """A column of the records: its input, its place there and its name."""

  input: str
  place: int
  name: str


def _names(name: str, places: Iterable[int]) -> list[str]:
  return [f"{name}[{place}]" for place in places]

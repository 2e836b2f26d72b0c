"""Which columns of the table end up where: the mapping with its `*` filled in, and checked."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.ingestion.expressions import Expression
from tfrecords.ingestion.mapping import DENSE, Mapping
from tfrecords.ingestion.mapping_entries import BinaryEntry, ContinuousEntry, DiscreteEntry

_WILDCARD = "*"
_SHOWN = 20
Entry = Union[ContinuousEntry, BinaryEntry, DiscreteEntry]


@dataclass(frozen=True)
class DenseColumn:
  """One source column of `continuous`, `binary` or `discrete`.

  Attributes:
    source: its name in the table.
    entry: what the mapping says about it.
  """

  source: str
  entry: Entry

  @property
  def names(self) -> list[str]:
    """What the columns it becomes are called in the feature list."""
    if isinstance(self.entry, BinaryEntry) and self.entry.one_hot is not None:
      return [f"{self.source}={category}" for category in self.entry.one_hot]
    return [self.source]


class Layout:
  """The records' features, label by label and column by column.

  Args:
    mapping: what the user wants.
    columns: the table's columns, in order; the optional ones among them or not.

  Attributes:
    mapping: the same.
    dense: `continuous`, `binary`, `discrete` -> their columns, in order; only those there are.
    labels: task -> its expression.

  Raises:
    ConfigError: the mapping names a column the table does not have, or one twice.
  """

  def __init__(self, mapping: Mapping, columns: Sequence[str]):
    self.mapping = mapping
    self._known = list(dict.fromkeys([*columns, *mapping.optional_columns]))
    self.labels = {
      task: Expression(entry.expression, f"labels.{task}") for task, entry in mapping.labels.items()
    }
    found = {feature: list(self._dense(feature)) for feature in DENSE}
    self.dense: dict[str, list[DenseColumn]] = {key: of for key, of in found.items() if of}
    for key, name in self._single_columns():
      self._require(name, key)
    self._check_vocabularies()

  def widths(self) -> dict[str, int]:
    """Returns the number of columns of each feature, labels apart, by its name in the record."""
    dense = {key: sum(len(of.names) for of in columns) for key, columns in self.dense.items()}
    embeddings = {name: entry.length for name, entry in self.mapping.embeddings.items()}
    return {**dense, **embeddings, **dict.fromkeys(self.mapping.ids, 1)}

  @cached_property
  def columns(self) -> list[str]:
    """Every source column there is need of, sorted."""
    names = {column.source for columns in self.dense.values() for column in columns}
    return sorted(names | {name for _, name in self._single_columns()})

  @cached_property
  def label_columns(self) -> frozenset[str]:
    """The source columns that labels are made of."""
    return frozenset(name for expression in self.labels.values() for name in expression.columns)

  @property
  def vocabulary_columns(self) -> list[str]:
    """The source columns that get a vocabulary, sorted."""
    discrete = self.dense.get("discrete", ())
    return sorted({column.source for column in discrete if column.entry.vocabulary is not None})

  def schema(self) -> dict[str, Any]:
    """Returns the content of the schema file, as `tfrecords.schema` reads it."""
    integers = {"binary", "discrete", *self.mapping.ids, *self.labels}
    lengths = {**self.widths(), **dict.fromkeys(self.labels, 1)}
    return {
      "schema": [
        {
          "feature_name": name,
          "dtype": "int64_list" if name in integers else "float_list",
          "length": length,
        }
        for name, length in lengths.items()
      ]
    }

  def _dense(self, feature: str) -> Iterator[DenseColumn]:
    for index, entry in enumerate(getattr(self.mapping, feature)):
      for pattern in entry.names:
        key = f"{feature}.{index}"
        if _WILDCARD not in pattern:
          self._require(pattern, key)
          yield DenseColumn(pattern, entry)
          continue
        fitting = [name for name in self._known if fnmatch.fnmatchcase(name, pattern)]
        if not fitting:
          raise self._unknown(pattern, key)
        for name in fitting:
          yield DenseColumn(name, entry)

  def _single_columns(self) -> Iterator[tuple[str, str]]:
    mapping = self.mapping
    for section in ("embeddings", "ids"):
      for name, entry in getattr(mapping, section).items():
        yield f"{section}.{name}.column", entry.column
    for task, expression in self.labels.items():
      for name in expression.columns:
        yield f"labels.{task}", name
    for column in self.dense.get("continuous", ()):
      if column.entry.age is not None:
        yield "continuous.age.at", column.entry.age.at
    if mapping.split.column is not None:
      yield "split.column", mapping.split.column

  def _check_vocabularies(self) -> None:
    seen: dict[str, object] = {}
    for column in self.dense.get("discrete", ()):
      section = column.entry.vocabulary
      if section is not None and seen.setdefault(column.source, section) != section:
        raise ConfigError(
          f"discrete: column {column.source!r} has two vocabularies, allowed: one, or two that are "
          "the same"
        )

  def _require(self, name: str, key: str) -> None:
    if name not in self._known:
      raise self._unknown(name, key)

  def _unknown(self, name: str, key: str) -> ConfigError:
    shown = ", ".join(self._known[:_SHOWN]) + (", ..." if len(self._known) > _SHOWN else "")
    return ConfigError(
      f"{key}: the table has no column {name!r}{did_you_mean(name, self._known)}; it has {shown}"
    )

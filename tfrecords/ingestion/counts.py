"""What the workers counted, put together and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfrecords.errors import DataError
from tfrecords.ingestion.feature_statistics import FeatureStatistics
from tfrecords.ingestion.mapping import TRAIN
from tfrecords.ingestion.mapping import Mapping as TableMapping


@dataclass(frozen=True)
class TaskCounts:
  """A task's labels in one part, before and after downsampling."""

  negatives: int = 0
  positives: int = 0
  kept_negatives: int = 0
  kept_positives: int = 0

  @property
  def rates(self) -> dict[str, float]:
    """The shares that were kept, as `train_data.tasks` takes them; nothing if that is all."""
    rates = {}
    if 0 < self.kept_positives < self.positives:
      rates["pos_downsampling_rate"] = self.kept_positives / self.positives
    if 0 < self.kept_negatives < self.negatives:
      rates["neg_downsampling_rate"] = self.kept_negatives / self.negatives
    return rates


@dataclass(frozen=True)
class PartCounts:
  """The rows of a part, before and after downsampling, and its labels by task."""

  n_rows: int
  n_records: int
  tasks: Mapping[str, TaskCounts]


@dataclass(frozen=True)
class Counts:
  """A whole table.

  Attributes:
    n_rows: of the table.
    n_without_part: rows that the split leaves out.
    parts: by name, in the split's order; empty ones are left out.
    statistics: of the training part's records, by feature.
  """

  n_rows: int
  n_without_part: int
  parts: Mapping[str, PartCounts]
  statistics: Mapping[str, FeatureStatistics]


def total(mapping: TableMapping, reports: Sequence[Mapping[str, Any]]) -> Counts:
  """Adds up the chunks' reports, in order.

  Raises:
    DataError: a part is empty, or a label never or always true in the training part, unless the
      mapping allows it.
  """
  parts = {name: _part(name, reports) for name in mapping.split.parts}
  statistics: dict[str, FeatureStatistics] = {}
  for report in reports:
    for name, content in report["statistics"].items():
      found = FeatureStatistics.from_json(content)
      if name in statistics:
        statistics[name].merge(found)
      else:
        statistics[name] = found
  counts = Counts(
    n_rows=sum(report["n_rows"] for report in reports),
    n_without_part=sum(report["n_without_part"] for report in reports),
    parts={name: part for name, part in parts.items() if part.n_records},
    statistics=statistics,
  )
  _check_parts(mapping, counts)
  _check_labels(mapping, counts.parts[TRAIN])
  return counts


def _part(name: str, reports: Sequence[Mapping[str, Any]]) -> PartCounts:
  found = [report["parts"][name] for report in reports if name in report["parts"]]
  tasks = {}
  for task in (task for part in found for task in part["tasks"]):
    if task not in tasks:
      columns = zip(*(part["tasks"][task] for part in found))
      tasks[task] = TaskCounts(*(sum(column) for column in columns))
  return PartCounts(
    n_rows=sum(part["n_rows"] for part in found),
    n_records=sum(sum(part["rows_of_blocks"]) for part in found),
    tasks=tasks,
  )


def _check_parts(mapping: TableMapping, counts: Counts) -> None:
  for name, part in mapping.split.parts.items():
    if name not in counts.parts and not part.may_be_empty:
      raise DataError(
        f"split.parts.{name}: none of the {counts.n_rows:,} rows belongs to it "
        f"({counts.n_without_part:,} belong to no part), allowed: at least one. Change the ranges, "
        f"or set may_be_empty: true"
      )


def _check_labels(mapping: TableMapping, train: PartCounts) -> None:
  for task, found in train.tasks.items():
    if (found.positives and found.negatives) or mapping.labels[task].may_be_constant:
      continue
    always = "never" if not found.positives else "always"
    raise DataError(
      f"labels.{task}: {mapping.labels[task].expression!r} is {always} true in the "
      f"{train.n_rows:,} rows of the training part, so that nothing can be learned. Mend it, leave "
      "the task out, or set may_be_constant: true"
    )

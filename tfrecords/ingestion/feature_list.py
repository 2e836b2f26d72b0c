"""The feature list: every column of every feature by name, how it was made and how it is spread."""

from typing import Any

from tfrecords.ingestion.counts import Counts, PartCounts
from tfrecords.ingestion.job import Job


def feature_list(job: Job, counts: Counts) -> dict[str, Any]:
  """Returns the content of features.json.

  `features` has for each feature of a record a list of its columns: `index`, `name`, the table's
  `column`, `made_by` (what the mapping says), and over the training records `minimum`, `maximum`,
  `mean`, `standard_deviation`, and the shares `missing` and `zeros`.
  """
  sources = _sources(job)
  features = {
    name: [
      {"index": index, **source, **_statistics(name, counts, index)}
      for index, source in enumerate(columns)
    ]
    for name, columns in sources.items()
  }
  return {
    "rows": counts.n_rows,
    "rows_of_no_part": counts.n_without_part,
    "parts": {name: _part(part) for name, part in counts.parts.items()},
    "labels": {task: of.expression for task, of in job.mapping.labels.items()},
    "features": features,
  }


def _sources(job: Job) -> dict[str, list[dict[str, Any]]]:
  sources = {
    feature: [
      {"name": name, "column": column.source, "made_by": _made_by(column.entry)}
      for column in columns
      for name in column.names
    ]
    for feature, columns in job.layout.dense.items()
  }
  for name, entry in job.mapping.embeddings.items():
    made_by = _made_by(entry)
    sources[name] = [
      {"name": f"{entry.column}[{index}]", "column": entry.column, "made_by": made_by}
      for index in range(entry.length)
    ]
  for name, entry in job.mapping.ids.items():
    sources[name] = [{"name": entry.column, "column": entry.column, "made_by": _made_by(entry)}]
  return sources


def _made_by(entry: Any) -> dict[str, Any]:
  return entry.model_dump(
    mode="json", exclude={"column", "columns"}, exclude_defaults=True, exclude_none=True
  )


def _statistics(feature: str, counts: Counts, index: int) -> dict[str, Any]:
  return counts.statistics[feature].column(index)


def _part(part: PartCounts) -> dict[str, Any]:
  tasks = {
    task: {"positives": of.kept_positives, "negatives": of.kept_negatives, **of.rates}
    for task, of in part.tasks.items()
  }
  return {"rows": part.n_rows, "records": part.n_records, "tasks": tasks}

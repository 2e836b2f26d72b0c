"""Reads from a file of column statistics what the z-score of a feature needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecords import paths
from tfrecords.config.strict_model import describe, did_you_mean
from tfrecords.errors import DataError, reason
from tfrecords.statistics_file import ROW_KEYS, TRANSFORM, Format

# No float32 has a larger signed log: beyond it, the statistics are of something else.
_LARGEST_LOG = 89.0

# Place and value of each column.
_Columns = list[tuple[int, Any]]


@dataclass(frozen=True)
class LogStatistics:
  """Mean and standard deviation of the signed log of a feature's columns, float64 [columns]."""

  mean: np.ndarray
  std: np.ndarray


def read_statistics(path: str, feature: str, file_format: Format, key: str) -> LogStatistics:
  """Reads the statistics of one feature.

  Args:
    path: the file, as the user gave it.
    feature: the feature's name in the record.
    file_format: "json" or "rows", see above.
    key: the configuration key the path comes from, for the messages.

  Raises:
    DataError: the file cannot be read or is of another format, it lacks the feature or a column, or
      a number is no mean or no standard deviation of logs; names file, feature and column.
  """
  resolved = paths.resolve(path, key)
  try:
    with tf.io.gfile.GFile(resolved, "r") as file:
      text = file.read()
  except (tf.errors.OpError, UnicodeDecodeError) as error:
    raise DataError(
      f"{key}: {resolved} cannot be read: {reason(error)}. Write it with //tfrecords:analyze, or "
      f"give its path with --set {key}=PATH"
    ) from None
  read = _read_rows if file_format == "rows" else _read_document
  means, stds = read(text, feature, resolved)
  where = f"{resolved}: feature {feature!r}"
  return LogStatistics(
    np.array([_log(mean, "mean", -_LARGEST_LOG, f"{where}: column {i}") for i, mean in means]),
    np.array([_log(std, "std", 0.0, f"{where}: column {i}") for i, std in stds]),
  )


def _read_document(text: str, feature: str, path: str) -> tuple[_Columns, _Columns]:
  try:
    content = json.loads(text)
  except (ValueError, RecursionError) as error:
    hint = "; a file of rows needs use_bq_stats: true" if text.startswith('{"feature"') else ""
    raise DataError(f"{path}: no JSON: {error}{hint}") from None
  features = content.get("features") if isinstance(content, Mapping) else None
  if not isinstance(features, Mapping):
    raise DataError(
      f'{path}: found no mapping under "features", allowed: a file that //tfrecords:analyze wrote '
      "with --format=json (rows need use_bq_stats: true)"
    )
  columns = features.get(feature)
  if not isinstance(columns, Mapping):
    raise _missing(feature, features, path)
  found = [columns.get(name) for name in ("mean", "std")]
  for name, values in zip(("mean", "std"), found):
    if not isinstance(values, list) or not values:
      raise DataError(
        f"{path}: feature {feature!r}: found {describe(values)} under {name!r}, allowed: a list of "
        "numbers, one a column"
      )
  lengths = {len(found[0]), len(found[1]), columns.get("length", len(found[0]))}
  if len(lengths) > 1:
    raise DataError(
      f"{path}: feature {feature!r}: found {len(found[0])} means, {len(found[1])} stds and length "
      f"{columns.get('length')!r}, allowed: the same number of each"
    )
  return list(enumerate(found[0])), list(enumerate(found[1]))


def _read_rows(text: str, feature: str, path: str) -> tuple[_Columns, _Columns]:
  rows: dict[int, Mapping] = {}
  others = {}
  for number, line in enumerate(text.split("\n"), start=1):
    if not line.strip():
      continue
    row = _row(line, f"{path}: line {number}")
    if row["feature"] != feature:
      others[str(row["feature"])] = True
      continue
    index = _index(row["index"], f"{path}: line {number}: feature {feature!r}")
    if index in rows:
      raise DataError(
        f"{path}: line {number}: feature {feature!r}: column {index} is there twice, allowed: once"
      )
    rows[index] = row
  if not rows:
    raise _missing(feature, others, path)
  for index in range(len(rows)):
    if index not in rows:
      raise DataError(
        f"{path}: feature {feature!r}: column {index} is missing although column {max(rows)} is "
        "there, allowed: a row for each"
      )
  return [(i, rows[i]["mean"]) for i in sorted(rows)], [(i, rows[i]["std"]) for i in sorted(rows)]


def _row(line: str, where: str) -> Mapping:
  try:
    row = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise DataError(
      f"{where}: no JSON: {error}; allowed: an object with {', '.join(ROW_KEYS)} in each line (the "
      "document that //tfrecords:analyze writes needs use_bq_stats: false)"
    ) from None
  if not isinstance(row, Mapping) or not set(ROW_KEYS) <= set(row):
    raise DataError(
      f"{where}: found {describe(row)}, allowed: an object with {', '.join(ROW_KEYS)}"
    )
  return row


def _index(value: Any, where: str) -> int:
  # BigQuery exports 64-bit integers as strings.
  is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
  if is_digits or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
    return int(value)
  raise DataError(f"{where}: found index {describe(value)}, allowed: a column's number, from 0")


def _missing(feature: str, known: Mapping, path: str) -> DataError:
  names = [str(name) for name in known]
  return DataError(
    f"{path}: feature {feature!r} is missing{did_you_mean(feature, names)}; found: "
    f"{', '.join(names) or 'nothing'}. Features have their names in the record here; write the "
    "file again with //tfrecords:analyze"
  )


def _log(value: Any, name: str, least: float, where: str) -> float:
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not is_number or not least <= value <= _LARGEST_LOG:  # Nor is NaN between the two.
    raise DataError(
      f"{where}: found {name} {describe(value)}, allowed: a number from {least:g} to "
      f"{_LARGEST_LOG:g}, since it is of {TRANSFORM}. Write the file again with //tfrecords:analyze"
    )
  return float(value)

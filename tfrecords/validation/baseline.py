"""A baseline: the statistics of one set of records, for others to be compared with.

It is a file of column statistics, as `//tfrecords:analyze` writes it (`tfrecords.statistics_file`),
with these members more:

    {"n_records": 2048,
     "labels": {TASK: {"positives": 17, "count": 2048}},
     "features": {NAME: {..., "share_of_missing": 0.0, "sampled": 2048,
                         "edges": [[-1.5, 0.25, ...], ...], "shares": [[0.1, 0.1, ...], ...]}}}

`edges` are the upper edges of each column's bins, the last of which has none, `shares` the shares
of its finite values in the bins; both are of a sample. A file that lacks them can be compared with
as far as it goes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrecords import paths
from tfrecords.column_statistics import ColumnStatistics
from tfrecords.config.strict_model import describe
from tfrecords.errors import DataError, reason
from tfrecords.statistics_file import TRANSFORM, write_statistics
from tfrecords.validation.file_report import LabelCounts
from tfrecords.validation.quantile_bins import count_up_to, edges_of, padded

# Enough for bins of a tenth: chance then moves a column's stability index by 0.002.
SAMPLED_RECORDS = 4096

_FLAG = "--compare_statistics"
_WAY_OUT = "Write it again with //tfrecords:validate --save_statistics=PATH"


@dataclass(frozen=True)
class BaselineFeature:
  """One feature of a baseline; arrays are float64 [length].

  Attributes:
    count: records.
    mean, std: of the signed logs.
    share_of_non_finite: in [0, 1].
    share_of_missing: of the records, in [0, 1]; None when unknown.
    sampled: how many records the bins come from; 0 when there are none.
    edges: of each column's bins.
    shares: of each column's values in its bins.
  """

  count: int
  mean: np.ndarray
  std: np.ndarray
  share_of_non_finite: np.ndarray
  share_of_missing: Optional[float] = None
  sampled: int = 0
  edges: tuple[tuple[float, ...], ...] = ()
  shares: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Baseline:
  """A baseline as it was read.

  Attributes:
    path: where it lies.
    features: by their names in the record.
    labels: task -> its counts; tasks that were not known are not there.
  """

  path: str
  features: Mapping[str, BaselineFeature]
  labels: Mapping[str, LabelCounts]

  def edges(self) -> dict[str, np.ndarray]:
    """Returns the edges of features that have bins, float64 [edges, length], to count values in."""
    return {name: padded(feature.edges) for name, feature in self.features.items() if feature.edges}


def write_baseline(
  path: str,
  statistics: Mapping[str, ColumnStatistics],
  sample: Mapping[str, np.ndarray],
  missing: Mapping[str, int],
  labels: Mapping[str, LabelCounts],
) -> None:
  """Writes a baseline whole or not at all.

  Args:
    path: absolute; its folder exists.
    statistics: by the feature's name in the record.
    sample: some of the records' values, [records, length].
    missing: feature -> records that lack it.
    labels: task -> its counts.

  Raises:
    StorageError: it cannot be written.
  """
  n_records = max((columns.count for columns in statistics.values()), default=0)
  counts = {
    task: {"positives": found.positives, "count": found.valid} for task, found in labels.items()
  }
  members = {}
  for name, columns in statistics.items():
    edges, shares = _bins(sample[name])
    members[name] = {
      "share_of_missing": missing.get(name, 0) / max(columns.count, 1),
      "sampled": len(sample[name]),
      "edges": edges,
      "shares": shares,
    }
  more = {"n_records": n_records, "labels": counts}
  write_statistics(path, statistics, "json", more, members, "--save_statistics")


def _bins(values: np.ndarray) -> tuple[list[list[float]], list[list[float]]]:
  edges = edges_of(values)
  up_to = count_up_to(values, padded(edges))
  shares = []
  for column, found in enumerate(edges):
    counts = np.diff(np.append(up_to[: len(found), column], up_to[-1, column]), prepend=0)
    shares.append((counts / max(int(up_to[-1, column]), 1)).tolist())
  return edges, shares


def read_baseline(path: str) -> Baseline:
  """Reads a baseline that `--save_statistics` or `//tfrecords:analyze` wrote.

  Raises:
    DataError: it cannot be read, or is something else; names the feature.
  """
  resolved = paths.resolve(path, _FLAG)
  try:
    with tf.io.gfile.GFile(resolved, "r") as file:
      content = json.loads(file.read())
  except (tf.errors.OpError, UnicodeDecodeError) as error:
    raise DataError(f"{_FLAG}: {resolved} cannot be read: {reason(error)}. {_WAY_OUT}") from None
  except (ValueError, RecursionError) as error:
    raise DataError(f"{resolved}: no JSON: {error}. {_WAY_OUT}") from None
  features = content.get("features") if isinstance(content, dict) else None
  if not isinstance(features, dict) or content.get("transform") != TRANSFORM:
    raise DataError(
      f'{resolved}: no statistics of records: found {describe(content)}, allowed: "transform": '
      f'{TRANSFORM!r} and "features". {_WAY_OUT}'
    )
  where = f"{resolved}: feature"
  return Baseline(
    resolved,
    {name: _feature(found, f"{where} {name!r}") for name, found in features.items()},
    _labels(content.get("labels", {}), resolved),
  )


def _feature(found: Any, where: str) -> BaselineFeature:
  if not isinstance(found, dict):
    raise DataError(f"{where}: found {describe(found)}, allowed: an object. {_WAY_OUT}")
  mean = _numbers(found.get("mean"), f"{where}: mean")
  arrays = [
    _numbers(found.get(name), f"{where}: {name}", len(mean))
    for name in ("std", "share_of_non_finite")
  ]
  count = _whole(found.get("count"), f"{where}: count")
  missing = found.get("share_of_missing")
  if missing is not None:
    missing = float(_numbers([missing], f"{where}: share_of_missing")[0])
  if "edges" not in found:
    return BaselineFeature(count, mean, *arrays, missing)
  lists = [found["edges"], found.get("shares")]
  for name, columns in zip(("edges", "shares"), lists):
    if not isinstance(columns, list) or len(columns) != len(mean):
      raise DataError(f"{where}: {name}: found no list a column, allowed: {len(mean)}. {_WAY_OUT}")
  edges, shares = [], []
  for column, (ends, parts) in enumerate(zip(*lists)):
    ends = _numbers(ends, f"{where}: edges of column {column}")
    if np.any(np.diff(ends) <= 0):
      raise DataError(f"{where}: edges of column {column}: allowed: ascending ones. {_WAY_OUT}")
    edges.append(tuple(ends.tolist()))
    shares.append(_numbers(parts, f"{where}: shares of column {column}", len(ends) + 1))
  sampled = _whole(found.get("sampled"), f"{where}: sampled")
  return BaselineFeature(count, mean, *arrays, missing, sampled, tuple(edges), tuple(shares))


def _numbers(found: Any, where: str, length: Optional[int] = None) -> np.ndarray:
  is_list = isinstance(found, list) and all(
    isinstance(value, (int, float)) and not isinstance(value, bool) for value in found
  )
  try:
    values = np.array(found if is_list else [np.nan], np.float64)
  except OverflowError:
    values = np.array([np.nan])
  if not np.isfinite(values).all() or (length is not None and len(values) != length):
    amount = "" if length is None else f"{length} "
    raise DataError(f"{where}: found {describe(found)}, allowed: {amount}numbers. {_WAY_OUT}")
  return values


def _whole(found: Any, where: str) -> int:
  if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**63:
    raise DataError(f"{where}: found {describe(found)}, allowed: a number of records. {_WAY_OUT}")
  return found


def _labels(found: Any, path: str) -> dict[str, LabelCounts]:
  labels = {}
  for task, counts in (found if isinstance(found, dict) else {}).items():
    where = f"{path}: label {task!r}"
    counts = counts if isinstance(counts, dict) else {}
    total = _whole(counts.get("count"), where)
    positives = _whole(counts.get("positives"), where)
    if positives > total:
      raise DataError(f"{where}: found {positives} positives of {total}. {_WAY_OUT}")
    labels[task] = LabelCounts(negatives=total - positives, positives=positives)
  return labels


def require_same_schema(
  baseline: Baseline, lengths: Mapping[str, int], names: Sequence[str]
) -> None:
  """Checks that a baseline is of records like those to be compared.

  Args:
    baseline: what to compare with.
    lengths: feature's name in the record -> its length in the schema.
    names: the features to compare.

  Raises:
    DataError: no feature is in both, or one has another length.
  """
  common = [name for name in names if name in baseline.features]
  if not common:
    raise DataError(
      f"{baseline.path}: none of its features is in the schema: found "
      f"{', '.join(list(baseline.features)[:5]) or 'none'}; the schema has "
      f"{', '.join(list(names)[:5]) or 'none to compare'}. {_WAY_OUT}"
    )
  for name in common:
    found = len(baseline.features[name].mean)
    if found != lengths[name]:
      raise DataError(
        f"{baseline.path}: feature {name!r} has {found} columns, allowed: {lengths[name]}, as in "
        f"the schema. {_WAY_OUT}"
      )

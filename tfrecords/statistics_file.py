"""The file of column statistics: its formats, and how it is written.

In the format "json" one document holds everything that is known of each feature, by its name in
the record:

    {"transform": "sign(x) log(1 + |x|)",
     "features": {NAME: {"length": 6000, "count": 2048, "mean": [...], "std": [...], "min": [...],
                         "max": [...], "share_of_zeros": [...], "share_of_non_finite": [...]}}}

`mean` and `std` are of the transformed values, with 0 for what is not finite; `min` and `max` of
the raw finite ones (null where there is none). The model needs `mean` and `std` alone. What
`//tfrecords:validate --save_statistics` writes has more, see `tfrecords.validation.baseline`.

In the format "rows" each line is an object, as warehouses export tables; lines come in any order,
and `index` may be a string of digits:

    {"feature": NAME, "index": 0, "mean": 1.25, "std": 0.5}
"""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Optional

import numpy as np

from tfrecords import files
from tfrecords.column_statistics import ColumnStatistics

Format = Literal["json", "rows"]
FORMATS = ("json", "rows")

TRANSFORM = "sign(x) log(1 + |x|)"
ROW_KEYS = ("feature", "index", "mean", "std")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def write_statistics(
  path: str,
  statistics: Mapping[str, ColumnStatistics],
  file_format: Format = "json",
  more: Mapping[str, Any] = _NOTHING,
  more_of_features: Mapping[str, Mapping[str, Any]] = _NOTHING,
  flag: str = "--output_path",
) -> None:
  """Writes a statistics file whole or not at all; the same statistics give the same bytes.

  Args:
    path: absolute, local or remote; its folder exists.
    statistics: by the feature's name in the record.
    file_format: "json" or "rows", see above.
    more: further members of the document, of the format "json".
    more_of_features: further members of a feature's object, by the feature's name.
    flag: the flag the path comes from, for the message.

  Raises:
    StorageError: the file cannot be written.
  """
  if file_format == "rows":
    text = _rows_of(statistics)
  else:
    text = _document_of(statistics, more, more_of_features)
  files.write(path, text, f"Write elsewhere with {flag}=PATH")


def _document_of(
  statistics: Mapping[str, ColumnStatistics],
  more: Mapping[str, Any],
  more_of_features: Mapping[str, Mapping[str, Any]],
) -> str:
  features = ",\n".join(
    f"{json.dumps(name)}: {{\n{_members_of(columns, more_of_features.get(name, _NOTHING))}\n}}"
    for name, columns in statistics.items()
  )
  first = "".join(
    f"{json.dumps(key)}: {json.dumps(value)},\n"
    for key, value in {"transform": TRANSFORM, **more}.items()
  )
  return f'{{{first}"features": {{\n{features}\n}}}}\n'


def _members_of(columns: ColumnStatistics, more: Mapping[str, Any]) -> str:
  members = {
    "length": len(columns.mean),
    "count": columns.count,
    "mean": columns.mean.tolist(),
    "std": columns.deviation.tolist(),
    "min": _finite_or_null(columns.minimum),
    "max": _finite_or_null(columns.maximum),
    "share_of_zeros": columns.share_of_zeros.tolist(),
    "share_of_non_finite": columns.share_of_non_finite.tolist(),
    **more,
  }
  return ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in members.items())


def _finite_or_null(values: np.ndarray) -> list[Optional[float]]:
  return [value if math.isfinite(value) else None for value in values.tolist()]


def _rows_of(statistics: Mapping[str, ColumnStatistics]) -> str:
  return "".join(
    json.dumps(dict(zip(ROW_KEYS, (name, index, mean, std)))) + "\n"
    for name, columns in statistics.items()
    for index, (mean, std) in enumerate(zip(columns.mean.tolist(), columns.deviation.tolist()))
  )

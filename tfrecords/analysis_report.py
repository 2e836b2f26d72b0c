"""What `//tfrecords:analyze` says when it is done."""

import json
from collections.abc import Mapping

import numpy as np

from tfrecords.analysis import Analysis
from tfrecords.column_statistics import ColumnStatistics
from tfrecords.command_hints import command

_MOSTLY = 0.99
_HEAVY_TAIL = 10.0  # The default of `clip_magnitude`: farther values are clipped.
_SHOWN_COLUMNS = 3


def describe(analysis: Analysis, training_flags: str) -> str:
  """Returns the summary: how much, where, the oddest columns, what to do next.

  Args:
    analysis: what was found.
    training_flags: the flags with which training reads the same configuration.
  """
  n_columns = sum(len(columns.mean) for columns in analysis.statistics.values())
  option = ["        use_bq_stats: true"] if analysis.file_format == "rows" else []
  return "\n".join(
    [
      f"{analysis.n_examples:,} examples of {analysis.n_shards} file(s), "
      f"{len(analysis.statistics)} feature(s), {n_columns:,} columns: {analysis.path}",
      *_odd_columns(analysis.statistics),
      "next, standardize with them: put these lines into the configuration instead of the other",
      "way of featurization, and train in a new training.save_dir",
      "  model:",
      "    featurization_config:",
      "      z_score_log_config:",
      f"        analysis_path: {json.dumps(analysis.path)}",
      *option,
      f"  {command('heavy_ranker', 'train')} {training_flags}".rstrip(" -"),
    ]
  )


def _odd_columns(statistics: Mapping[str, ColumnStatistics]) -> list[str]:
  """Returns a line for each kind of odd column: how many, and the oddest of them."""
  kinds = {
    "constant": lambda c: np.where(c.deviation == 0, 1.0, 0.0),
    f"over {_MOSTLY:.0%} zero": lambda c: np.where(
      (c.share_of_zeros > _MOSTLY) & (c.deviation > 0), c.share_of_zeros, 0.0
    ),
    f"beyond {_HEAVY_TAIL:g} std of the log": lambda c: np.where(
      c.farthest > _HEAVY_TAIL, c.farthest, 0.0
    ),
    "NaN or infinite values": lambda c: c.share_of_non_finite,
  }
  formats = ("", " ({:.3%})", " ({:.1f} std)", " ({:.3%})")
  lines = []
  for (kind, oddness_of), shown in zip(kinds.items(), formats):
    found = [
      (float(oddness), name, column)
      for name, columns in statistics.items()
      for column, oddness in _positive(oddness_of(columns))
    ]
    found.sort(key=lambda entry: -entry[0])
    some = ", ".join(
      f"{name}[{column}]{shown.format(oddness)}" for oddness, name, column in found[:_SHOWN_COLUMNS]
    )
    lines.append(f"  {kind:24} {len(found):6,}  {some}".rstrip())
  return ["odd columns, the oddest first:", *lines]


def _positive(values: np.ndarray) -> list[tuple[int, float]]:
  return [(int(index), values[index]) for index in np.flatnonzero(values > 0)]

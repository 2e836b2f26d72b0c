"""What `//heavy_ranker:score` says in the end."""

import os
import shlex

from heavy_ranker.serving.offline_scoring.score_file import SCORE
from heavy_ranker.serving.offline_scoring.scoring_run import ScoringResult

_READER = "import pyarrow.parquet as parquet; print(parquet.read_table({!r}))"


def describe(result: ScoringResult, file_format: str) -> str:
  """Returns where the scores lie, what they hold, how fast it went, and how to read them."""
  before = f", {result.files_before} of them from an earlier run" if result.files_before else ""
  lines = [f"scores       {result.folder} ({result.files} file(s){before})"]
  if result.examples:
    rate = result.examples / max(result.seconds, 1e-9)
    after_ids = result.columns.index(SCORE) + 1
    probabilities = f"{len(result.columns) - after_ids} probabilities"
    lines.append(f"examples     {result.examples:,} ({rate:,.0f} examples/s)")
    lines.append(f"columns      {', '.join([*result.columns[:after_ids], probabilities])}")
  if result.set_aside is not None:
    lines.append(f"earlier run  {result.set_aside}; delete it when you are done with it")
  return "\n".join([*lines, f"next         {_way_to_read(result.folder, file_format)}"])


def _way_to_read(folder: str, file_format: str) -> str:
  if file_format == "parquet":
    return f"python -c {shlex.quote(_READER.format(folder))}"
  pattern = os.path.join(folder, "*.gz")
  return f'tf.data.TFRecordDataset(tf.io.gfile.glob({pattern!r}), "GZIP")'

"""What `//heavy_ranker:score` says in the end."""

import os

from heavy_ranker.serving.offline_scoring.scoring_run import ScoringResult

_NEXT = {
  "parquet": "python -c 'import pyarrow.parquet as p; print(p.read_table({folder!r}))'",
  "tfrecord": 'tf.data.TFRecordDataset(tf.io.gfile.glob({pattern!r}), "GZIP")',
}


def describe(result: ScoringResult, file_format: str) -> str:
  """Returns where the scores lie, what they hold, how fast it went, and how to read them."""
  before = f", {result.files_before} of them from an earlier run" if result.files_before else ""
  lines = [f"scores       {result.folder} ({result.files} file(s){before})"]
  if result.examples:
    rate = result.examples / max(result.seconds, 1e-9)
    lines.append(f"examples     {result.examples:,} ({rate:,.0f} examples/s)")
    lines.append(f"columns      {', '.join(result.columns)}")
  if result.set_aside is not None:
    lines.append(f"earlier run  {result.set_aside}; delete it when you are done with it")
  pattern = os.path.join(result.folder, "**" if file_format == "parquet" else "*.gz")
  read = _NEXT[file_format].format(folder=result.folder, pattern=pattern)
  return "\n".join([*lines, f"read them    {read}"])

"""What `//tfrecords:ingest` says when it is done."""

import os
import shlex

from tfrecords import paths
from tfrecords.command_hints import command
from tfrecords.ingestion.ingest_table import Ingested


def describe(ingested: Ingested) -> str:
  """Returns the summary: rows, records and positives by part, what to do next."""
  summary = ingested.summary
  config = os.path.join(ingested.output, "config.yaml")
  if not paths.caller_directory().startswith("//") and not paths.is_remote(config):
    config = os.path.relpath(config, paths.caller_directory())
  flag = f"--config_path={shlex.quote(config)}"
  lines = [f"{ingested.output}: complete already, nothing to do"] if ingested.was_complete else []
  lines.append(f"{summary['rows']:,} rows -> {ingested.output}")
  for name, part in summary["parts"].items():
    n_shards = summary["shards"][name]
    lines.append(f"  {name}: {part['records']:,} records in {n_shards} shard(s)")
    if part["records"] < part["rows"]:
      lines.append(f"    of {part['rows']:,} rows; the others were left out by downsampling")
    width = max(map(len, part["tasks"]), default=0)
    lines += [
      f"    {task:{width}} {of['positives'] / part['records']:8.3%} positive"
      for task, of in part["tasks"].items()
    ]
  if summary["rows_of_no_part"]:
    lines.append(f"  {summary['rows_of_no_part']:,} rows belong to no part and were left out")
  widths = ", ".join(f"{name} {width}" for name, width in summary["widths"].items())
  lines += [
    f"  features: {widths}",
    "next, try:",
    f"  {command('heavy_ranker', 'train')} {flag}",
  ]
  return "\n".join(lines)

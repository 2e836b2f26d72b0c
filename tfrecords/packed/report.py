"""What `//tfrecords:pack` says when it is done."""

import os

from tfrecords.command_hints import command
from tfrecords.config.data import DataConfig
from tfrecords.packed.packer import Packed


def overrides_to_read(packed: Packed, config: DataConfig, key: str) -> dict[str, str]:
  """Returns the values that make a configuration read the packed records, by dotted key."""
  changes = {f"{key}.inputs": os.path.join(packed.folder, "*.tfrecord"), f"{key}.packed": "true"}
  if config.inputs_key != "inputs":
    changes[f"{key}.{config.inputs_key}"] = "null"
  return changes


def describe(packed: Packed, seconds: float, flags: str) -> str:
  """Returns the summary: how much, how small, what to do next.

  Args:
    packed: what was written.
    seconds: how long it took.
    flags: with which a command reads it.
  """
  manifest = packed.manifest
  examples = manifest.examples
  arrays = [f"{each.name} {each.width} x {each.dtype}" for each in manifest.arrays]
  return "\n".join(
    [
      *([packed.skipped] if packed.skipped else []),
      f"{examples:,} examples in {len(manifest.shards)} shard(s), {packed.n_bytes / examples:,.0f} "
      f"bytes each ({packed.n_bytes / packed.n_source_bytes:.0%} of the records'), "
      f"{examples / max(seconds, 1e-9):,.0f} a second: {packed.folder}",
      f"  {', '.join(arrays)}",
      "next, read them:",
      f"  {command('heavy_ranker', 'train')} {flags}",
    ]
  )

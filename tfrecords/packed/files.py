"""The shards of a packed data section, held against the `packed.json` of their folders."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from tfrecords.errors import DataError, reason
from tfrecords.packed import manifest as manifests
from tfrecords.packed.manifest import Manifest, PackedShard
from tfrecords.shards import Shard

_THREADS = 16


class PackedFiles:
  """What a data section's packed files hold, checked without reading a record.

  Args:
    shards: the files.
    key: the data section's path in the configuration, for the messages.

  Attributes:
    manifest: of the first folder; all folders were packed alike.
    entries: what the manifests say of each file.
    examples: over all files.
    sources: the files the examples are from; see `first_sources`.
    first_sources: of each file, what to add to its numbers of sources.

  Raises:
    DataError: a folder has no usable `packed.json`, one was packed otherwise than another, or a
      file is not what its folder's says.
  """

  def __init__(self, shards: Sequence[Shard], key: str):
    folders = list(dict.fromkeys(os.path.dirname(shard.path) for shard in shards))
    with ThreadPoolExecutor(_THREADS) as threads:
      found = list(threads.map(lambda folder: manifests.read(folder, key), folders))
      by_folder = dict(zip(folders, found))
      self.manifest = found[0]
      for folder, other in by_folder.items():
        _require_alike(folders[0], self.manifest, folder, other)
      self.entries = list(threads.map(lambda shard: _entry(shard, by_folder), shards))
    self.examples = sum(entry.examples for entry in self.entries)
    self.sources: list[str] = []
    offsets: dict[str, int] = {}
    for folder, each in by_folder.items():
      offsets[folder] = len(self.sources)
      self.sources += each.sources
    self.first_sources = [offsets[os.path.dirname(shard.path)] for shard in shards]


def _require_alike(first: str, expected: Manifest, folder: str, found: Manifest) -> None:
  if found.digest != expected.digest or found.rows != expected.rows:
    raise DataError(
      f"{folder}: was packed otherwise than {first}, allowed: folders that were packed alike. Pack "
      "one of them again, or read them in sections of their own"
    )


def _entry(shard: Shard, by_folder: dict[str, Manifest]) -> PackedShard:
  folder, name = os.path.split(shard.path)
  where = manifests.path_in(folder)
  known = [entry for entry in by_folder[folder].shards if entry.name == name]
  if not known:
    raise DataError(
      f"{shard.path}: is none of the packed files that {where} names; remove it, or pack again"
    )
  try:
    size = tf.io.gfile.stat(shard.path).length
  except tf.errors.OpError as error:
    raise DataError(f"{shard.path}: cannot be read: {reason(error)}") from None
  if size != known[0].size:
    raise DataError(
      f"{shard.path}: has {size} bytes, {where} says {known[0].size}: the file is cut short or was "
      "replaced; pack again"
    )
  return known[0]

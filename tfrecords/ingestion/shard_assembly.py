"""Second stage: the records of one shard, out of all chunks -> a TFRecord file.

Record j of a part, counted over all chunks, belongs to shard j modulo the number of shards: shards
differ by one record at most. Blocks are shuffled, so that a shard has a random share of each; its
own records are shuffled once more. See `tfrecords.record_format` for the format.
"""

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import crc32c
import numpy as np

from tfrecords import random_streams
from tfrecords.errors import DataError
from tfrecords.files import open_file
from tfrecords.ingestion import storage
from tfrecords.ingestion.conversion import STAGE
from tfrecords.ingestion.job import Job

_MASK_DELTA = 0xA282EAD8
_GZIP = 31
# zlib's default level takes ten times as long on dense floats, for a sixth less bytes.
_LEVEL = 1
_BYTES_AT_ONCE = 4 << 20


class ShardAssembler:
  """A task: writes one shard.

  Args:
    job: the table.
    shards: (part, number of the shard, number of shards), in order.
    reports: those of all chunks, in order.
  """

  def __init__(
    self, job: Job, shards: Sequence[tuple[str, int, int]], reports: Sequence[Mapping[str, Any]]
  ):
    self._job, self._shards = job, shards
    self._rows_of_blocks = [
      {name: (part["name"], part["rows_of_blocks"]) for name, part in report["parts"].items()}
      for report in reports
    ]

  def output(self, number: int) -> str:
    """Returns the shard's path: where it exists, the task is done."""
    part, shard, n_shards = self._shards[number]
    ending = "tfrecord.gz" if self._job.mapping.output.compression == "gzip" else "tfrecord"
    name = f"part-{shard:05d}-of-{n_shards:05d}.{ending}"
    return os.path.join(self._job.staging_folder, part, name)

  def __call__(self, number: int) -> None:
    """Writes a shard, which appears whole or not at all.

    Raises:
      StorageError: it cannot be written.
    """
    part, shard, n_shards = self._shards[number]
    records = self._records(part, shard, n_shards)
    order = random_streams.stream(
      self._job.mapping.output.seed, f"shards/{part}", shard
    ).permutation(len(records))
    storage.write(
      self.output(number),
      tfrecord_bytes([records[index] for index in order], self._job.mapping.output.compression),
    )

  def _records(self, part: str, shard: int, n_shards: int) -> list[bytes]:
    records, begin = [], 0
    for chunk, parts in enumerate(self._rows_of_blocks):
      name, blocks = parts.get(part, ("", ()))
      spans, row = [], 0
      for n_rows in blocks:
        start, end = span(begin, n_rows, shard, n_shards)
        if end > start:
          spans.append((row + start, row + end))
        row, begin = row + n_rows, begin + n_rows
      if spans:
        records += self._read(chunk, name, spans, row)
    return records

  def _read(
    self, chunk: int, name: str, spans: Sequence[tuple[int, int]], n_rows: int
  ) -> list[bytes]:
    path = self._job.chunk_path(STAGE, chunk, f"{name}.bytes")
    records = []
    try:
      with (
        open_file(path) as data,
        open_file(self._job.chunk_path(STAGE, chunk, f"{name}.offsets")) as offsets,
      ):
        for start, end in spans:
          offsets.seek(8 * start)
          begins = np.frombuffer(offsets.read(8 * (end - start + (end < n_rows))), "<i8")
          data.seek(int(begins[0]))
          size = int(begins[-1] - begins[0]) if end < n_rows else -1
          content = memoryview(data.read(size))
          ends = [*begins[1:], begins[0] + len(content)] if end == n_rows else begins[1:]
          records += [
            bytes(content[one - begins[0] : other - begins[0]]) for one, other in zip(begins, ends)
          ]
    except (OSError, ValueError, IndexError) as error:
      raise DataError(
        f"{path}: is not what was written there ({error}). Remove {self._job.work_folder} and run "
        "the command again"
      ) from None
    return records


def span(begin: int, n_rows: int, shard: int, n_shards: int) -> tuple[int, int]:
  """Returns which rows of a block a shard gets: from the first to before the second.

  Args:
    begin: the number of the part's rows in the blocks before.
    n_rows: the block's.
    shard: which shard.
    n_shards: of how many.
  """
  share, left = divmod(n_rows, n_shards)
  first = begin % n_shards

  def extra(below: int) -> int:
    """Counts those of the shards below one that get a row more."""
    within = max(0, min(below, first + left) - min(below, first))
    return within + max(0, min(below, first + left - n_shards))

  start = shard * share + extra(shard)
  return start, start + share + extra(shard + 1) - extra(shard)


def tfrecord_bytes(records: Sequence[bytes], compression: str) -> bytes:
  """Returns the content of a TFRecord file."""
  compress = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP) if compression == "gzip" else None
  parts: list[bytes] = []
  pending, size = [], 0
  for record in records:
    header = struct.pack("<Q", len(record))
    pending += [header, _checksum(header), record, _checksum(record)]
    size += len(record)
    if size > _BYTES_AT_ONCE:
      joined = b"".join(pending)
      parts.append(compress.compress(joined) if compress else joined)
      pending, size = [], 0
  joined = b"".join(pending)
  return b"".join([*parts, compress.compress(joined) + compress.flush() if compress else joined])


def _checksum(data: bytes) -> bytes:
  crc = crc32c.crc32c(data)
  return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF)

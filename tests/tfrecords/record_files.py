"""Small records, files of them, and a configuration that reads them."""

import gzip
import json
import struct
import zlib
from pathlib import Path

import tensorflow as tf

from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import validate

SCHEMA = [
  {"feature_name": "cont_vals", "dtype": "float_list", "length": 5},
  {"feature_name": "binary_vals", "dtype": "int64_list", "length": 3},
  {"feature_name": "author.vector", "dtype": "float_list", "length": 2},
  {"feature_name": "meta.author_id", "dtype": "int64_list", "length": 1},
  {"feature_name": "spare", "dtype": "float_list", "length": 2},
  {"feature_name": "user.topics", "dtype": "int64_list", "length": -1},
  {"feature_name": "user.lang", "dtype": "bytes_list", "length": 1},
  {"feature_name": "is_liked", "dtype": "int64_list", "length": 1},
  {"feature_name": "is_replied", "dtype": "int64_list", "length": 1},
]
RENAMED = {
  "continuous": "cont_vals",
  "binary": "binary_vals",
  "author_embedding": "author.vector",
  "meta__author_id": "meta.author_id",
}
TASKS = {
  "is_liked": {"pos_downsampling_rate": 0.5, "neg_downsampling_rate": 0.25},
  "is_replied": {"pos_downsampling_rate": 1.0, "neg_downsampling_rate": 0.125},
}
WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}


def record(index=0, **changes):
  """Returns a serialized Example whose author id is `index`.

  Args:
    index: also decides the other values.
    **changes: values by the feature's name in the record ("." written "__"), None to leave it out.
  """
  values = {
    "cont_vals": [index + step / 4 for step in range(5)],
    "binary_vals": [index % 2, 1, 0],
    "author.vector": [float(index), -float(index)],
    "meta.author_id": [index],
    "spare": [0.5, 0.25],
    "user.topics": list(range(index % 3)),
    "user.lang": [b"en"],
    "is_liked": [index % 2],
    "is_replied": [int(index % 4 == 3)],
  }
  values.update({name.replace("__", "."): value for name, value in changes.items()})
  features = {name: _feature(value) for name, value in values.items() if value is not None}
  return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(
    deterministic=True
  )


def _feature(values):
  if values and isinstance(values[0], float):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
  if values and isinstance(values[0], bytes):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def plain_bytes(records):
  """Returns what an uncompressed TFRecord file of these records holds."""
  parts = []
  for data in records:
    length = struct.pack("<Q", len(data))
    parts += [length, _checksum(length), data, _checksum(data)]
  return b"".join(parts)


def _checksum(data):
  crc = 0xFFFFFFFF
  for byte in data:
    crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
  crc ^= 0xFFFFFFFF
  return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _crc_table():
  table = []
  for entry in range(256):
    for _ in range(8):
      entry = (entry >> 1) ^ (0x82F63B78 if entry & 1 else 0)
    table.append(entry)
  return table


_CRC_TABLE = _crc_table()


def compress(content, compression):
  """Returns `content` as a gzip or zlib file holds it; as it is when compression is empty."""
  if compression == "GZIP":
    return gzip.compress(content, mtime=0)
  return zlib.compress(content) if compression == "ZLIB" else content


def write_shard(path, records, compression=""):
  """Writes records into one file and returns its path."""
  path = Path(path)
  path.write_bytes(compress(plain_bytes(records), compression))
  return path


def write_shards(folder, sizes, compression=""):
  """Writes a shard a size, with the author ids 0, 1, 2, ... in the order of their names."""
  paths, first = [], 0
  for number, size in enumerate(sizes):
    records = [record(index) for index in range(first, first + size)]
    paths.append(write_shard(Path(folder) / f"part-{number}.tfrecord", records, compression))
    first += size
  return paths


def write_schema(folder, entries=None):
  """Writes a schema file and returns its path."""
  path = Path(folder) / "schema.json"
  path.write_text(json.dumps({"schema": SCHEMA if entries is None else entries}))
  return path


def data_config(folder, schema=None, **changes):
  """Returns a data section that reads `folder`/*.tfrecord.

  Args:
    folder: where the shards lie.
    schema: changes of the section `seg_dense_schema`.
    **changes: other keys of the section.
  """
  schema_path = Path(folder) / "schema.json"
  if not schema_path.exists() and "schema_path" not in (schema or {}):
    write_schema(folder)
  section = {
    "inputs": str(Path(folder) / "*.tfrecord"),
    "global_batch_size": 4,
    "examples_shuffle_buffer_size": 0,
    "seg_dense_schema": {
      "schema_path": str(schema_path),
      "features": ["user.topics", "user.lang"],
      "renamed_features": RENAMED,
      **(schema or {}),
    },
    "tasks": TASKS,
    **changes,
  }
  return validate(DataConfig, section, "test")


def author_ids(dataset):
  """Returns the author ids of a pipeline's batches, a list a batch."""
  return [batch[0]["meta__author_id"].numpy()[:, 0].tolist() for batch in dataset]


def flat_author_ids(dataset):
  """Returns the author ids of a pipeline's batches, one list."""
  return [index for batch in author_ids(dataset) for index in batch]


def read_eagerly(pipeline):
  """Reads a pipeline to its end in a loop, returns the author ids."""
  with pipeline.explained():
    return flat_author_ids(pipeline.dataset)


def read_in_function(pipeline):
  """Reads a pipeline to its end the way a training step does, returns the author ids."""

  @tf.function
  def step(iterator):
    features, labels, _ = next(iterator)
    return features["meta__author_id"][:, 0] + 0 * tf.cast(sum(labels.values()), tf.int64)

  found = []
  with pipeline.explained():
    iterator = iter(pipeline.dataset)
    while True:
      try:
        found += step(iterator).numpy().tolist()
      except tf.errors.OutOfRangeError:
        return found


def flip(content, position, bit=0):
  """Returns bytes with one bit of one byte changed."""
  changed = bytearray(content)
  changed[position] ^= 1 << bit
  return bytes(changed)

"""What is fuzzed: a case is made of a random generator and runs one reader on bytes made to hurt.

Each target returns when all is well, raises a UserError for what it refuses, and anything else is a
defect. A defect repeats with the same generator.
"""

import functools
import gzip
import json
import os
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Callable

import numpy as np
import tensorflow as tf

from heavy_ranker.config import load_config
from tfrecords import record_format
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import validate
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.record_check import RecordCheck
from tfrecords.record_walk import Status, walk
from tfrecords.schema import Feature, load_schema

Target = Callable[[random.Random, str], None]

_TASK = "engagement.is_liked"
_CONFIG = """
training: {save_dir: "${HOME}/run", num_train_steps: 10, seed: 3, gradient_accumulation: 2}
model:
  featurization_config:
    double_norm_log_config: {batch_norm_config: {affine: true, momentum: 0.01}, clip_magnitude: 5.0}
  backbone: {mask_net_config: {mask_blocks: [&block {aggregation_size: 4, output_size: 3}, *block]}}
  small_embeddings: {tables: [{name: lang, num_embeddings: 3, embedding_dim: 2, index: 0}]}
  tasks: {engagement.is_liked: {mlp_config: {layer_sizes: [4, 1], batch_norm: {}}, pos_weight: 2}}
train_data: &data
  inputs: "data/*.gz"
  global_batch_size: 8
  seg_dense_schema: {schema_path: schema.json, renamed_features: {continuous: cont}}
  tasks: {engagement.is_liked: {neg_downsampling_rate: 0.5}}
  preprocess: {truncate_and_slice: {continuous_feature_truncation: 7}}
  sampler: {name: share, kwargs: {rate: 0.5, seed: 1}}
validation_data: {validation: {<<: *data, evaluation_tasks: [engagement.is_liked]}}
optimizer:
  gradient_clipping: {by_global_norm: 1.0}
  single_task_learning_rate: {piecewise_constant: {learning_rate_boundaries: [1],
    learning_rate_values: [0.1, 1.0e-3]}}
score: {weights: {engagement.is_liked: 1.5}, only_largest_of: []}
calibration: {method: platt, partition: validation}
evaluation: {ranking_cutoffs: [10], baselines: {logistic_regression: {}}}
"""
_SCHEMA = [
  {"feature_name": "cont", "dtype": "float_list", "length": 5},
  {"feature_name": "tags", "dtype": "int64_list", "length": -1},
  {"feature_name": "lang", "dtype": "bytes_list", "length": 1},
  {"feature_name": _TASK, "dtype": "int64_list", "length": 1},
]
_FEATURES = {
  entry["feature_name"]: Feature(
    entry["feature_name"], entry["feature_name"], entry["dtype"], entry["length"]
  )
  for entry in _SCHEMA
}
_NASTY = (
  "null", "~", "true", "-1", "0", "1e400", ".nan", "-.inf", "9223372036854775808", "1" * 400, "[]",
  "{}", "[[[[]]]]", "{a: {b: {c: 1}}}", "''", '"\\0"', '"\\uD800"', "&a [*a]", "*block",
  "!!python/name:os.system", "!!binary aGk=", "!!set {a}", "2001-01-01", "0x" + "f" * 5000, "? [1]",
  "<<: *data", "${HOME}", "$", "${", "%", "\t", "\x85", "\ufeff", "1:30:00", "1_000",
  "é", "extends: a",
)  # fmt: skip
_NUMBERS = (
  0,
  1,
  2,
  7,
  8,
  127,
  128,
  255,
  2**16,
  2**31 - 1,
  2**31,
  2**32,
  2**63 - 1,
  2**63,
  2**64 - 1,
)


def fuzz_config(generator: random.Random, folder: str) -> None:
  """Loads a configuration file that is nearly right."""
  text = _CONFIG
  for _ in range(generator.choice((0, 1, 1, 1, 2, 4))):
    text = generator.choice((_other_scalar, _other_lines, _other_characters))(text, generator)
  path = os.path.join(folder, "fuzz.yaml")
  with open(path, "wb") as file:
    file.write(text.encode("utf-8", "replace"))
  load_config(path, [_override(generator)] if generator.random() < 0.3 else [])


def fuzz_schema(generator: random.Random, folder: str) -> None:
  """Reads a schema file that is nearly right."""
  entries = json.loads(json.dumps(_SCHEMA))
  if generator.random() < 0.7:
    entry = generator.choice(entries)
    values = [None, True, [], {}, "", "a", 0, -2, 1.5, 1e999, *_NUMBERS, "\ud800", "float_list"]
    entry[generator.choice([*entry, "other"])] = generator.choice(values)
  content = json.dumps({"schema": entries}, ensure_ascii=generator.random() < 0.5)
  data = content.encode("utf-8", "surrogatepass")
  if generator.random() < 0.6:
    data = damaged(data, generator)
  path = os.path.join(folder, "fuzz.json")
  with open(path, "wb") as file:
    file.write(data)
  load_schema(path, "schema_path")


def fuzz_record(generator: random.Random, folder: str) -> None:
  """Checks a serialized Example that is nearly right, one by one and in a batch."""
  del folder
  good = _example(generator)
  record = damaged(good, generator) if generator.random() < 0.8 else _odd_example(generator)
  check = _record_check()
  problem = check.problem(record)
  bad = list(check.bad_rows(np.array([good, record, good], object)))
  if bad not in ([], [1]):
    raise AssertionError(f"good records were called bad: {bad}")
  if bad and problem is not None:
    raise DataError(problem)


@functools.cache
def _record_check() -> RecordCheck:
  return RecordCheck(_FEATURES, [_TASK])


def fuzz_file(generator: random.Random, folder: str) -> None:
  """Recognises and walks over a file of records that is nearly right."""
  records, content, compression = _file(generator)
  path = os.path.join(folder, "fuzz.tfrecord")
  with open(path, "wb") as file:
    file.write(content)
  for found in walk(path, compression):
    if found.status is Status.GOOD and found.data not in records:
      raise AssertionError(f"a record was found that was never written: {found}")
  record_format.compression_of(content, path, is_whole=True)


def fuzz_pipeline(generator: random.Random, folder: str) -> None:
  """Reads such a file as training does, and with `ignore_data_errors`."""
  _, content, _ = _file(generator)
  with open(os.path.join(folder, "fuzz.tfrecord"), "wb") as file:
    file.write(content)
  with open(os.path.join(folder, "good.json"), "w", encoding="utf-8") as file:
    json.dump({"schema": _SCHEMA}, file)
  section = {
    "inputs": os.path.join(folder, "fuzz.tfrecord"),
    "global_batch_size": 2,
    "seg_dense_schema": {"schema_path": os.path.join(folder, "good.json")},
    "tasks": {_TASK: {}},
    "ignore_data_errors": generator.random() < 0.6,
  }
  pipeline = InputPipeline(validate(DataConfig, section, "fuzz"), "evaluate")
  with pipeline.explained():
    for _ in pipeline.dataset:
      pass


TARGETS: dict[str, Target] = {
  "config": fuzz_config,
  "schema": fuzz_schema,
  "record": fuzz_record,
  "file": fuzz_file,
  "pipeline": fuzz_pipeline,
}


def damaged(data: bytes, generator: random.Random) -> bytes:
  """Returns bytes with up to three changes: flipped bits, cuts, copies, insertions, numbers."""
  for _ in range(generator.randint(1, 3)):
    at = generator.randrange(len(data) + 1)
    end = min(len(data), at + generator.choice((0, 1, 4, 8, 40)))
    before, part, after = data[:at], data[at:end], data[end:]
    kind = generator.choice(("flip", "cut", "leave out", "repeat", "insert", "number"))
    if kind == "flip":
      part = bytes(value ^ 1 << generator.randrange(8) for value in part)
    elif kind == "cut":
      part = after = b""
    elif kind == "repeat":
      part += part
    elif kind == "insert":
      part = generator.randbytes(generator.randint(1, 20)) + part
    else:
      part = struct.pack("<Q", generator.choice(_NUMBERS)) if kind == "number" else b""
    data = before + part + after
  return data


def _other_scalar(text: str, generator: random.Random) -> str:
  parts = f"{text}: ".split(": ")
  at = generator.randrange(1, len(parts))
  rest = parts[at].lstrip('"$').split(",")[-1] if "," in parts[at] else "}"
  parts[at] = generator.choice(_NASTY) + generator.choice((",", "\n", "")) + rest
  return ": ".join(parts)


def _other_lines(text: str, generator: random.Random) -> str:
  lines = text.split("\n")
  at, other = generator.randrange(len(lines)), generator.randrange(len(lines))
  lines[at] = generator.choice(("", lines[other], lines[at] + lines[other], f" {lines[at]}"))
  return "\n".join(lines)


def _other_characters(text: str, generator: random.Random) -> str:
  return damaged(text.encode(), generator).decode("utf-8", "replace")


def _override(generator: random.Random) -> str:
  keys = (
    "training.seed",
    "model.tasks.engagement.is_liked.pos_weight",
    "a..b",
    "",
    "score",
    '"',
    ".",
  )
  return f"{generator.choice(keys)}{generator.choice(('=', '==', ''))}{generator.choice(_NASTY)}"


def _example(generator: random.Random) -> bytes:
  feature = {
    "cont": tf.train.Feature(
      float_list=tf.train.FloatList(value=[generator.random() for _ in range(5)])
    ),
    "tags": tf.train.Feature(int64_list=tf.train.Int64List(value=[3] * generator.randint(0, 3))),
    "lang": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"en"])),
    _TASK: tf.train.Feature(int64_list=tf.train.Int64List(value=[generator.randint(0, 1)])),
  }
  example = tf.train.Example(features=tf.train.Features(feature=feature))
  return example.SerializeToString(deterministic=True)


def _odd_example(generator: random.Random) -> bytes:
  """Returns a well-formed Example with one odd feature."""
  example = tf.train.Example.FromString(_example(generator))
  feature = example.features.feature[generator.choice([*_FEATURES, "other", "\0"])]
  count = generator.choice((0, 1, 2, 5, 1000))
  generator.choice(
    (
      lambda: feature.float_list.value.extend([float("nan")] * count),
      lambda: feature.int64_list.value.extend([-(2**63)] * count),
      lambda: feature.bytes_list.value.extend([b"\xff\0" * 9] * count),
      lambda: feature.ClearField("kind") if feature.WhichOneof("kind") else None,
    )
  )()
  return example.SerializeToString(deterministic=True)


def _file(generator: random.Random) -> tuple[Sequence[bytes], bytes, str]:
  """Returns records, a damaged file of them, and its compression."""
  records = [_example(generator) for _ in range(generator.randint(0, 6))]
  content = b"".join(map(_framed, records))
  compression = generator.choice(("", "", "GZIP", "ZLIB"))
  before = damaged(content, generator) if generator.random() < 0.3 else content
  pack = {"": lambda data: data, "GZIP": _gzip, "ZLIB": zlib.compress}[compression]
  content = pack(before) + (pack(content) if generator.random() < 0.3 else b"")
  return records, damaged(content, generator) if generator.random() < 0.9 else content, compression


def _gzip(data: bytes) -> bytes:
  return gzip.compress(data, mtime=0)


def _framed(record: bytes) -> bytes:
  length = struct.pack("<Q", len(record))
  checksums = (struct.pack("<I", record_format.masked_crc_32c(each)) for each in (length, record))
  return length + next(checksums) + record + next(checksums)

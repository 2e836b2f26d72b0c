"""A table of a few rows, its mapping, and how to read the records it becomes."""

import glob
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import tensorflow as tf

from tfrecords.config.strict_model import validate
from tfrecords.ingestion.ingest_table import Ingested, ingest
from tfrecords.ingestion.mapping import Mapping
from tfrecords.ingestion.pipeline import Runner

TASK = "recap.engagement.is_favorited"


def content(**changes: Any) -> dict:
  """Returns a mapping as plain data; `changes` replace its keys."""
  return {
    "format": "parquet",
    "continuous": [{"columns": ["height", "width"], "missing": 0}],
    "binary": [{"column": "flag"}],
    "discrete": [{"column": "code"}],
    "ids": {"meta__user_id": "user"},
    "labels": {TASK: "likes > 0", "is_big": "height / 2 >= 5 and present(width)"},
    "split": {
      "column": "day",
      "parts": {"train": {"below": 3}, "validation": {"at_least": 3}},
    },
    "output": {"examples_per_shard": 10, "batch_size": 8},
    **changes,
  }


def mapping(**changes: Any) -> Mapping:
  return validate(Mapping, content(**changes), "mapping.yaml")


def columns(n_rows: int = 100) -> dict[str, list]:
  """Returns the columns: day 0 to 3, and whatever else can be told from the row's number."""
  rows = range(n_rows)
  return {
    "user": list(rows),
    "day": [row % 4 for row in rows],
    "height": [float(row % 20) for row in rows],
    "width": [None if row % 10 == 0 else row / 4 for row in rows],
    "flag": [row % 2 for row in rows],
    "code": [row * 1000 for row in rows],
    "likes": [row % 3 for row in rows],
  }


def write_parquet(path: Path, n_rows: int = 100, row_group_size: int = 1 << 20, **changes) -> Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  pq.write_table(pa.table({**columns(n_rows), **changes}), path, row_group_size=row_group_size)
  return path


def write_csv(path: Path, n_rows: int = 100, **changes) -> Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  pa.csv.write_csv(pa.table({**columns(n_rows), **changes}), path)
  return path


def write_jsonl(path: Path, n_rows: int = 100, **changes) -> Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  table = {**columns(n_rows), **changes}
  rows = [dict(zip(table, row)) for row in zip(*table.values())]
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path


def run(folder: Path, inputs: Any, n_workers: int = 1, **changes: Any) -> Ingested:
  """Ingests into `folder`/records."""
  given = [str(path) for path in (inputs if isinstance(inputs, list) else [inputs])]
  return ingest(mapping(**changes), given, str(folder / "records"), Runner(n_workers=n_workers))


def read(folder: Path, part: str) -> list[dict[str, list]]:
  """Returns a part's records, shard by shard: each feature's values by name."""
  return [record for shard in shards(folder, part) for record in read_shard(shard)]


def shards(folder: Path, part: str) -> list[str]:
  return sorted(glob.glob(str(folder / "records" / part / "*")))


def read_shard(path: str) -> list[dict[str, list]]:
  compression = "GZIP" if path.endswith(".gz") else ""
  records = []
  for data in tf.data.TFRecordDataset(path, compression).as_numpy_iterator():
    example = tf.train.Example.FromString(data)
    records.append(
      {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in example.features.feature.items()
      }
    )
  return records


def contents(folder: Path) -> dict[str, bytes]:
  """Returns every file below a folder, by its path there."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }

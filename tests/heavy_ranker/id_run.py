"""A small run whose records hold ids and discrete features; its model has every kind of table."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from heavy_ranker.config import HeavyRankerConfig
from tests.heavy_ranker import small_run
from tfrecords.config.strict_model import validate

IDS = {"discrete": 3, "meta__author_id": 1, "tags": 2}
WIDTHS = {"continuous": 7, "binary": 5, "user_embedding": 4, **IDS}
# Authors 0 to 11 occur; 12 to 14 do not. The order is that of no sorting.
VOCABULARY = (7, 3, -5, 11, 1, 12, 2, 14)
MOST_AUTHORS = 10
POSITION, LANGUAGE, DEVICE = range(3)


def vocabulary_path(folder: Path) -> Path:
  return folder / "authors.txt"


def pretrained_path(folder: Path) -> Path:
  return folder / "authors.npz"


def pretrained_rows(folder: Path) -> dict[int, np.ndarray]:
  """Returns the rows the file holds, by id; 99 is not in the vocabulary."""
  with np.load(pretrained_path(folder)) as arrays:
    return dict(zip(arrays["ids"].tolist(), arrays["follow"]))


def id_content(folder: Path) -> dict:
  """Returns the configuration as plain data; everything it names is written to `folder`."""
  content = small_run.small_content(folder)
  _add_ids(folder)
  vocabulary_path(folder).write_text("".join(f"{author}\n" for author in VOCABULARY))
  rows = np.random.default_rng(8).normal(size=(3, 4)).astype("f")
  np.savez(pretrained_path(folder), ids=np.int64([3, 99, 12]), follow=rows)
  schema = content["train_data"]["seg_dense_schema"]
  schema["renamed_features"] = {name: f"record.{name}" for name in WIDTHS}
  pretrained = {"emb_name": "follow", "embedding_snapshot_uri": str(pretrained_path(folder))}
  authors = {"name": "meta__author_id", "num_embeddings": MOST_AUTHORS, "embedding_dim": 4}
  rate = {"linear_ramp_to_constant": {"learning_rate": 0.5, "num_ramp_steps": 2}}
  content["model"].update(
    large_embeddings={
      "tables": [
        {**authors, "vocab": str(vocabulary_path(folder)), "pretrained": pretrained},
        {"name": "tags", "num_embeddings": 6, "embedding_dim": 3},
      ],
      "optimizer": {"learning_rate": rate, "algorithm": "adagrad"},
      "tables_to_log": ["tags"],
    },
    small_embeddings={
      "tables": [
        {"name": "language", "num_embeddings": 4, "embedding_dim": 2, "index": LANGUAGE},
        {"name": "device", "num_embeddings": 2, "embedding_dim": 5, "index": DEVICE},
      ]
    },
    position_debias_config={
      "max_position": 5,
      "num_dims": 3,
      "position_feature_index": POSITION,
    },
  )
  return content


def id_config(folder: Path, *changes: tuple) -> HeavyRankerConfig:
  """Writes everything to `folder` (once) and returns the configuration with other values.

  Changes are (key, key, ..., value).
  """
  path = folder / "ids.json"
  if not path.exists():
    path.write_text(json.dumps(id_content(folder)))
  content = json.loads(path.read_text())
  for *keys, last, value in changes:
    node = content
    for key in keys:
      node = node[key]
    node[last] = value
  return validate(HeavyRankerConfig, content, "ids")


def _add_ids(folder: Path) -> None:
  """Writes ids into the records that are there: negative, unknown and absent ones among them."""
  generator = np.random.default_rng(4)
  options = tf.io.TFRecordOptions("GZIP")
  for path in sorted((folder / "data").glob("*.gz")):
    records = list(tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path), options) as writer:
      for record in records:
        example = tf.train.Example.FromString(record)
        for name, values in _draw(generator).items():
          example.features.feature[f"record.{name}"].int64_list.value.extend(values)
        writer.write(example.SerializeToString())
  schema = json.loads((folder / "schema.json").read_text())
  schema["schema"] += [
    {"feature_name": f"record.{name}", "dtype": "int64_list", "length": width}
    for name, width in IDS.items()
  ]
  (folder / "schema.json").write_text(json.dumps(schema))


def _draw(generator: np.random.Generator) -> dict[str, np.ndarray]:
  drawn = {
    "discrete": generator.integers(-1, 6, 3),
    "meta__author_id": generator.integers(0, 12, 1),
    "tags": generator.integers(-2, 20, 2) * 10**15,
  }
  if generator.random() < 0.1:
    del drawn["meta__author_id"]
  return drawn

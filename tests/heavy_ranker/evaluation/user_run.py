"""The small run with users and a discrete feature in its records."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import yaml

from heavy_ranker.config import HeavyRankerConfig, load_config
from tests.heavy_ranker import small_run

NUM_EXAMPLES, NUM_USERS, NUM_COUNTRIES = 120, 15, 3
_EXTRA = [("meta.user_id", "int64_list", 1), ("record.discrete", "int64_list", 2)]
_RENAMED = {"meta__user_id": "meta.user_id", "discrete": "record.discrete"}


def user_config(folder: Path, *overrides: str) -> HeavyRankerConfig:
  """Writes everything to `folder` (once) and returns the configuration."""
  path = folder / "users.yaml"
  if not path.exists():
    path.write_text(yaml.safe_dump(_content(folder)))
  return load_config(path, overrides)


def users() -> np.ndarray:
  """Returns each record's user, in the order of the records."""
  return np.arange(NUM_EXAMPLES) * 7 % NUM_USERS


def countries() -> np.ndarray:
  """Returns the second discrete feature of each record, in the order of the records."""
  return np.arange(NUM_EXAMPLES) % NUM_COUNTRIES


def _content(folder: Path) -> dict:
  content = small_run.small_content(folder)
  schema = json.loads((folder / "schema.json").read_text())
  schema["schema"] += [
    {"feature_name": name, "dtype": dtype, "length": length} for name, dtype, length in _EXTRA
  ]
  (folder / "schema.json").write_text(json.dumps(schema))
  _write_records(folder / "data")
  for data in (content["train_data"], content["validation_data"]["validation"]):
    data["seg_dense_schema"]["renamed_features"].update(_RENAMED)
  content["evaluation"] = {"bootstrap_samples": 20}
  return content


def _write_records(folder: Path) -> None:
  generator = np.random.default_rng(0)
  shards = sorted(folder.glob("*.gz"))
  numbers = np.array_split(np.arange(NUM_EXAMPLES), len(shards))
  for path, of_shard in zip(shards, numbers):
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
      for number in of_shard:
        example = small_run.make_example(generator)
        extra = {"meta.user_id": [users()[number]], "record.discrete": [9, countries()[number]]}
        for name, values in extra.items():
          example.features.feature[name].int64_list.value.extend(values)
        writer.write(example.SerializeToString())

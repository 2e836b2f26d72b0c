"""A ranker small enough to train in a second: records, schema and configuration in one folder."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import yaml

from heavy_ranker.config import HeavyRankerConfig, load_config
from heavy_ranker.config.score import DEFAULT_WEIGHTS

TASKS = (
  "recap.engagement.is_favorited",
  "recap.engagement.is_good_clicked_convo_desc_v2",
  "recap.engagement.is_report_tweet_clicked",
)
WIDTHS = {"continuous": 9, "binary": 5, "user_embedding": 4, "author_embedding": 4}
_DTYPES = {"continuous": "float_list", "binary": "int64_list"}
# The least model there can be, and the override that makes it the configuration's, where a model is
# only in the way of what is tested: each operation takes its time to trace.
PLAIN_MODEL = {
  "featurization_config": {"log1p_abs_config": {}},
  "backbone": {"mlp_config": {"layer_sizes": [6], "final_layer_activation": True}},
  "tasks": {task: {"mlp_config": {"layer_sizes": [1]}} for task in TASKS},
}
PLAIN = f"model={json.dumps(PLAIN_MODEL)}"


def write_schema(folder: Path) -> Path:
  """Writes the schema of the records below; record names differ from the names inside."""
  entries = [
    {"feature_name": f"record.{name}", "dtype": _DTYPES.get(name, "float_list"), "length": width}
    for name, width in WIDTHS.items()
  ]
  entries += [{"feature_name": task, "dtype": "int64_list", "length": 1} for task in TASKS]
  path = folder / "schema.json"
  path.write_text(json.dumps({"schema": entries}))
  return path


def make_example(generator: np.random.Generator) -> tf.train.Example:
  """Returns a record whose labels depend on its first features."""
  continuous = generator.standard_normal(WIDTHS["continuous"]) * 3
  chances = 1 / (1 + np.exp(-continuous[: len(TASKS)]))
  values = {
    "record.continuous": continuous,
    "record.binary": generator.integers(0, 2, WIDTHS["binary"]),
    "record.user_embedding": generator.standard_normal(WIDTHS["user_embedding"]),
    "record.author_embedding": generator.standard_normal(WIDTHS["author_embedding"]),
    **{task: [int(generator.random() < p)] for task, p in zip(TASKS, chances)},
  }
  return tf.train.Example(
    features=tf.train.Features(feature={name: _feature(value) for name, value in values.items()})
  )


def _feature(values: object) -> tf.train.Feature:
  array = np.asarray(values)
  if np.issubdtype(array.dtype, np.integer):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=array))
  return tf.train.Feature(float_list=tf.train.FloatList(value=array))


def write_records(
  folder: Path, num_examples: int = 120, num_shards: int = 3, seed: int = 0
) -> Path:
  """Writes gzip shards and returns the glob that matches them."""
  folder.mkdir(parents=True, exist_ok=True)
  generator = np.random.default_rng(seed)
  for shard in range(num_shards):
    path = str(folder / f"part-{shard}.gz")
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
      for _ in range(num_examples // num_shards):
        writer.write(make_example(generator).SerializeToString())
  return folder / "*.gz"


def small_content(folder: Path) -> dict:
  """Returns the configuration as plain data; its records and schema are written to `folder`."""
  inputs = write_records(folder / "data")
  data = {
    "inputs": str(inputs),
    "global_batch_size": 16,
    "examples_shuffle_buffer_size": 50,
    "seg_dense_schema": {
      "schema_path": str(write_schema(folder)),
      "renamed_features": {name: f"record.{name}" for name in WIDTHS},
    },
    "tasks": {task: {} for task in TASKS},
    "preprocess": {"truncate_and_slice": {"continuous_feature_truncation": 7}},
  }
  tower = {"mlp_config": {"layer_sizes": [6, 1], "batch_norm": {"affine": False}}}
  with_dropout = {"mlp_config": {**tower["mlp_config"], "dropout": {"rate": 0.2}}}
  rate = {"linear_ramp_to_constant": {"learning_rate": 0.01, "num_ramp_steps": 3}}
  block = {"aggregation_size": 8, "output_size": 6}
  return {
    "training": {
      "save_dir": str(folder / "run"),
      "num_train_steps": 6,
      "checkpoint_every_n": 4,
      "train_log_every_n": 1,
      "num_eval_steps": -1,
    },
    "model": {
      "featurization_config": {
        "double_norm_log_config": {"batch_norm_config": {}, "layer_norm_config": {}}
      },
      "backbone": {
        "mask_net_config": {
          "use_parallel": True,
          "mask_blocks": [block, block],
          "mlp": {"layer_sizes": [8], "final_layer_activation": True},
        }
      },
      "tasks": {TASKS[0]: tower, TASKS[1]: tower, TASKS[2]: with_dropout},
    },
    "train_data": data,
    "validation_data": {"validation": data},
    "optimizer": {
      "adam": {"beta_1": 0.95},
      "multi_task_learning_rates": {
        "backbone_learning_rate": rate,
        "tower_learning_rates": {task: rate for task in TASKS},
      },
    },
  }


def write_config(folder: Path) -> Path:
  """Writes records, schema and configuration; returns the configuration's path."""
  path = folder / "small.yaml"
  path.write_text(yaml.safe_dump(small_content(folder)))
  return path


def small_config(folder: Path, *overrides: str) -> HeavyRankerConfig:
  """Writes everything to `folder` (once) and returns the configuration."""
  path = folder / "small.yaml"
  return load_config(path if path.exists() else write_config(folder), overrides)


def assert_outputs_close(
  found: Mapping[str, object], expected: Mapping[str, object], tolerance: float = 1e-6
) -> None:
  """Checks that outputs computed in two ways are the same but for rounding.

  In which order float32 numbers are added up depends on the CPU, the batch size and on what is made
  of a graph. The probabilities differ by it in their last bits, and the score, which is their sum
  with weights of hundreds and of either sign, by that much times the weights, however small it is.

  Args:
    found: outputs by name, at least those expected.
    expected: the same; the score has the tasks' usual weights.
    tolerance: how far a probability or a logit may be off, absolutely and relatively.
  """
  largest = sum(abs(DEFAULT_WEIGHTS[task]) for task in TASKS)
  for name, values in expected.items():
    atol = tolerance * (largest if name == "score" else 1.0)
    np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=atol, err_msg=name)

"""A ranker of tasks nobody has published: two odd names, one input, weights of its own."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import yaml

TASKS = ("saved for later?", "kuairand.long_view")
WIDTH = 3


def write_config(folder: Path, num_examples: int = 64) -> Path:
  """Writes records, schema and configuration; returns the configuration's path."""
  entries = [{"feature_name": "continuous", "dtype": "float_list", "length": WIDTH}]
  entries += [{"feature_name": task, "dtype": "int64_list", "length": 1} for task in TASKS]
  (folder / "schema.json").write_text(json.dumps({"schema": entries}))
  random = np.random.default_rng(0)
  with tf.io.TFRecordWriter(str(folder / "part-0.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
    for _ in range(num_examples):
      values = random.standard_normal(WIDTH)
      features = {"continuous": _floats(values)}
      features.update({task: _integer(values[i] > 0) for i, task in enumerate(TASKS)})
      example = tf.train.Example(features=tf.train.Features(feature=features))
      writer.write(example.SerializeToString())
  path = folder / "other.yaml"
  path.write_text(yaml.safe_dump(_content(folder), sort_keys=False))
  return path


def _content(folder: Path) -> dict:
  tower = {"mlp_config": {"layer_sizes": [4, 1]}}
  data = {
    "inputs": str(folder / "*.gz"),
    "global_batch_size": 16,
    "seg_dense_schema": {"schema_path": str(folder / "schema.json")},
    "tasks": {task: {} for task in TASKS},
  }
  return {
    "training": {"save_dir": str(folder / "run"), "num_train_steps": 3, "num_eval_steps": -1},
    "model": {
      "featurization_config": {
        "clip_log1p_abs_config": {},
        "feature_names_to_concat": [],
      },
      "backbone": {"mlp_config": {"layer_sizes": [5]}},
      "tasks": {task: tower for task in TASKS},
    },
    "score": {"weights": {TASKS[0]: 2.5, TASKS[1]: -1.0}},
    "train_data": data,
    "validation_data": {"held out": data},
    "optimizer": {"single_task_learning_rate": {"constant": 0.01}},
  }


def _floats(values: np.ndarray) -> tf.train.Feature:
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _integer(value: bool) -> tf.train.Feature:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

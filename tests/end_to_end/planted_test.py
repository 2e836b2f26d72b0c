"""The demo, trained on planted records, comes within 0.01 AUROC of their teacher."""

import os

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import evaluate, load_config, train
from heavy_ranker.evaluation import metrics
from tfrecords import parsing, paths, schema
from tfrecords.generator import generate
from tfrecords.planted_records import PROBABILITY_PREFIX, teacher_probabilities_features

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all"]
_FEWEST_POSITIVES = 1000


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  folder = tmp_path_factory.mktemp("planted")
  config = load_config(
    os.path.join(paths.package_root(), "configs", "demo.yaml"),
    [
      f"training.save_dir={folder / 'run'}",
      f"train_data.inputs={folder / 'train' / '*.gz'}",
      f"validation_data.validation.inputs={folder / 'validation' / '*.gz'}",
    ],
  )
  generate(config.train_data, n_examples=400_000, num_shards=16, kind="planted", seed=1)
  generate(
    config.validation_data["validation"],
    n_examples=200_000,
    num_shards=8,
    kind="planted",
    seed=2,
    write_probabilities=True,
  )
  return config


def _teacher(config):
  """Labels and the teacher's probabilities of the validation records, by task."""
  partition = config.validation_data["validation"]
  tasks = list(config.model.tasks)
  features = {task: schema.features_of(partition)[task] for task in tasks}
  parse = parsing.make_parser({**features, **teacher_probabilities_features(tasks)})
  files = tf.io.gfile.glob(partition.inputs)
  batches = [parse(r, r) for r in tf.data.TFRecordDataset(files, "GZIP").batch(10_000)]
  return {
    task: tuple(
      np.concatenate([batch[name][:, 0] for batch in batches]).astype(np.float64)
      for name in (f"{PROBABILITY_PREFIX}{task}", task)
    )
    for task in tasks
  }


def test_auroc_is_within_a_hundredth_of_the_best_possible(config):
  train(config)
  results = evaluate(config)["validation"]
  measured = 0
  for task, (probabilities, labels) in _teacher(config).items():
    assert results[task]["positives"] == labels.sum()
    if labels.sum() < _FEWEST_POSITIVES:
      continue
    best = metrics.auroc(probabilities, labels, np.ones_like(labels))
    print(f"{task}: teacher {best:.4f}, model {results[task]['auroc']:.4f}")
    assert results[task]["auroc"] > best - 0.01, task
    measured += 1
  assert measured >= 6

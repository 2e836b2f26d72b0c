"""The demo, trained on planted records: near the best possible, and for the right reasons."""

import os

import pytest

from benchmarks.planted_data import write_missing
from benchmarks.teacher import evaluate_teacher
from heavy_ranker import evaluate, load_config, train
from heavy_ranker.evaluation.importance import ImportanceOptions, measure_importance
from tfrecords import paths

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
  write_missing(config, "validation")
  train(config)
  return config


def test_auroc_is_within_a_hundredth_of_the_best_possible(config):
  results = evaluate(config)["validation"]
  partition = config.validation_data["validation"]
  teacher = evaluate_teacher(partition, list(results), "validation_data.validation")
  measured = 0
  for task, best in teacher.items():
    assert results[task]["positives"] == best["positives"]
    if best["positives"] < _FEWEST_POSITIVES:
      continue
    print(f"{task}: teacher {best['auroc']:.4f}, model {results[task]['auroc']:.4f}")
    assert results[task]["auroc"] > best["auroc"] - 0.01, task
    measured += 1
  assert measured >= 6


def test_the_model_relies_on_what_the_labels_depend_on_and_nothing_else(config):
  groups = os.path.join(paths.package_root(), "configs", "demo", "feature_groups.yaml")
  options = ImportanceOptions(groups=groups, metric="auroc", repeats=2)
  result = measure_importance(config, options)
  task = "recap.engagement.is_favorited"
  drops = {entry["name"]: entry["drop"][task] for entry in result["groups"]}
  print(drops)
  for name, drop in drops.items():
    if name.startswith("other"):
      assert abs(drop) < 0.01, name
    else:
      assert drop > 0.05, name

"""The demo, trained on planted records: near the best possible, and for the right reasons."""

import os

import pytest

from benchmarks.planted_data import write_missing
from heavy_ranker import load_config, train
from heavy_ranker.evaluation.evaluator import Evaluator
from heavy_ranker.evaluation.importance import ImportanceOptions, measure_importance
from tfrecords import paths

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all"]
_FEWEST_POSITIVES = 1000
_SMALLEST_SHARE = 0.9


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  folder = tmp_path_factory.mktemp("planted")
  config = load_config(
    os.path.join(paths.package_root(), "configs", "demo.yaml"),
    [
      f"training.save_dir={folder / 'run'}",
      f"train_data.inputs={folder / 'train' / '*.gz'}",
      f"validation_data.validation.inputs={folder / 'validation' / '*.gz'}",
      "evaluation.baselines.logistic_regression=null",
      # Intervals take longer than all other metrics together.
      "evaluation.bootstrap_samples=0",
    ],
  )
  write_missing(config, "validation")
  train(config)
  return config


def test_auroc_and_rce_are_close_to_the_best_possible(config):
  tasks = Evaluator(config).run()["partitions"]["validation"]["tasks"]
  measured = 0
  for task, found in tasks.items():
    model, best, share = (
      found["metrics"],
      found["baselines"]["teacher"],
      found["achievable_rce_share"],
    )
    if best["positives"] < _FEWEST_POSITIVES:
      continue
    print(f"{task}: AUROC {model['auroc']:.4f} of {best['auroc']:.4f}, RCE {share:.1%} of the best")
    assert model["auroc"] > best["auroc"] - 0.01, task
    assert _SMALLEST_SHARE < share < 1, task
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

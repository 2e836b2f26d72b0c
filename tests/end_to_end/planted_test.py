"""The demo, trained on planted records, comes close to their teacher."""

import os

import pytest

from benchmarks.planted_data import write_missing
from heavy_ranker import load_config, train
from heavy_ranker.evaluation.evaluator import Evaluator
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
  return config


def test_auroc_and_rce_are_close_to_the_best_possible(config):
  train(config)
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

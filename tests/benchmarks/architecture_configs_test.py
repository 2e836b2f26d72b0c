"""Each file of configs/architectures loads, is as large as the others, trains and is explained."""

import math
import re
from pathlib import Path

import pytest

from heavy_ranker import build_model, evaluate, load_config, train
from tests.benchmarks.tiny_data import ARCHITECTURES, write_tiny_data
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords import paths

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all", "//:README.md"]

BASELINE = "logistic_regression"
# Trainable parameters: alike, so that the table compares architectures and not sizes.
FEWEST, MOST = 130_000, 155_000
NAMES = sorted(path.stem for path in ARCHITECTURES.glob("*.yaml"))

each_architecture = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module", name="tiny")
def tiny_fixture(tmp_path_factory):
  return write_tiny_data(tmp_path_factory.mktemp("tiny"))


def test_all_files_are_seen():
  assert BASELINE in NAMES
  assert len(NAMES) >= 11


@each_architecture
def test_it_trains_and_is_measured(name, tiny, tmp_path, monkeypatch):
  leave_report_out(monkeypatch)
  short = ["training.num_train_steps=2", "training.train_log_every_n=1"]
  short += ["evaluation.baselines=null", "evaluation.bootstrap_samples=0"]
  config = load_config(
    ARCHITECTURES / f"{name}.yaml", [*tiny, *short, f"training.save_dir={tmp_path}"]
  )
  assert [math.isfinite(entry["loss"]) for entry in train(config)] == [True, True]
  assert list(evaluate(config)["validation"]) == list(config.model.tasks)


@each_architecture
def test_its_size_is_like_the_others_and_in_the_readme(name):
  config = load_config(ARCHITECTURES / f"{name}.yaml")
  weights = build_model(config).trainable_weights
  parameters = sum(weight.shape.num_elements() for weight in weights)
  assert name == BASELINE or FEWEST <= parameters <= MOST
  readme = (Path(paths.package_root()) / "README.md").read_text(encoding="utf-8")
  row = re.search(rf"^\| `?{name}`? +\|.*$", readme, re.MULTILINE)
  assert row, f"README.md has no row for {name}"
  assert f"| {parameters:,} |" in re.sub(" +", " ", row[0])


@each_architecture
def test_it_keeps_to_the_demo_but_for_what_it_shows(name):
  config = load_config(ARCHITECTURES / f"{name}.yaml")
  demo = load_config(ARCHITECTURES.parent / "demo.yaml")
  assert config.training.save_dir.endswith(f"/{name}")
  same = config.training.model_copy(update={"save_dir": demo.training.save_dir})
  assert same == demo.training
  assert config.train_data == demo.train_data
  assert config.validation_data == demo.validation_data
  assert list(config.model.tasks) == list(demo.model.tasks)
  assert config.model.featurization_config == demo.model.featurization_config


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_with_its_command(name):
  lines = (ARCHITECTURES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
  header = lines[: lines.index("")]
  assert all(line.startswith("#") for line in header)
  command = "./bazelw run //heavy_ranker:train"
  assert f"#   {command} -- --config_path=configs/architectures/{name}.yaml" in header

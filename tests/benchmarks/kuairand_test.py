"""`//benchmarks:kuairand` on records of KuaiRand's layout and other values."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.ablation_table import format_variants
from benchmarks.ablations import FULL, variants
from heavy_ranker.config_check import check_config
from tests.end_to_end.command_runner import run
from tfrecords import paths
from tfrecords.errors import ConfigError

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all"]
CONFIG = str(Path(paths.package_root()) / "configs" / "kuairand.yaml")
WIDTHS = {"continuous": 117, "binary": 38, "discrete": 22, "meta__user_id": 1}


@pytest.fixture(scope="module", name="folder")
def folder_fixture(tmp_path_factory):
  folder = tmp_path_factory.mktemp("kuairand")
  config = variants(CONFIG, str(folder), 1)[FULL][0].config
  tasks = list(config.model.tasks)
  entries = [_entry(name, width) for name, width in WIDTHS.items()]
  entries += [_entry(task, 1) for task in tasks]
  (folder / "schema.json").write_text(json.dumps({"schema": entries}))
  random = np.random.default_rng(0)
  for part in ("train", "choose", "validation"):
    (folder / part).mkdir()
    path = str(folder / part / "part-00000-of-00001.tfrecord.gz")
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
      for _ in range(64):
        writer.write(_example(random, tasks).SerializeToString())
  return folder


def _entry(name, width):
  dtype = "float_list" if name == "continuous" else "int64_list"
  return {"feature_name": name, "dtype": dtype, "length": width}


def _example(random, tasks):
  continuous = random.integers(0, 30, 117).astype(float)
  continuous[0] = np.nan
  values = {
    "binary": random.integers(0, 2, 38),
    "discrete": random.integers(0, 9000, 22),
    "meta__user_id": random.integers(0, 9, 1),
    **{task: random.integers(0, 2, 1) for task in tasks},
  }
  lists = {name: tf.train.Int64List(value=value) for name, value in values.items()}
  features = {name: tf.train.Feature(int64_list=value) for name, value in lists.items()}
  features["continuous"] = tf.train.Feature(float_list=tf.train.FloatList(value=continuous))
  return tf.train.Example(features=tf.train.Features(feature=features))


def test_every_variant_can_be_built_and_has_a_folder_of_its_own(folder):
  found = variants(CONFIG, str(folder), 2, with_ablations=True)
  assert len(found) == 9
  candidates = [candidate for each in found.values() for candidate in each]
  assert len({candidate.config.training.save_dir for candidate in candidates}) == 18
  for candidate in candidates:
    check_config(candidate.config)
  models = [json.dumps(each[0].config.model.model_dump(mode="json")) for each in found.values()]
  assert len(set(models)) == 9
  assert '"l2": 0.0' in models[-1] and '"l2": 0.01' not in models[-1]


def test_what_is_missing_already_cannot_be_left_out(folder):
  with pytest.raises(ConfigError, match="--ablations: the configuration lacks model.wide_config"):
    variants(CONFIG, str(folder), 1, ["model.wide_config=null"], with_ablations=True)


def test_the_table_has_means_and_deviations_over_the_seeds():
  rows = {
    "both": [
      {"metrics": {"a.x": {"auroc": auroc, "relative_cross_entropy": 10.0}}}
      for auroc in (0.70, 0.72)
    ],
    "one": [{"metrics": {"a.x": {"auroc": None, "relative_cross_entropy": -1.234}}}],
  }
  lines = format_variants(rows, ["a.x"]).splitlines()
  assert [cell.strip() for cell in lines[0].split("|")[2:-1]] == ["mean AUROC", "mean RCE", "x"]
  assert "0.7100 (141)" in lines[2] and "0.7100 (141) / 10.00 (0)" in lines[2]
  assert "nan / -1.23" in lines[3]


def test_the_command_trains_each_seed_once(folder, tmp_path):
  sets = [
    "training.num_train_steps=2",
    "train_data.global_batch_size=32",
    "evaluation.bootstrap_samples=0",
    f"training.save_dir={tmp_path / 'runs'}",
  ]
  flags = [flag for each in sets for flag in ("--set", each)]
  flags += [f"--data_dir={folder}", "--seeds=2", "--output_path=all.json"]
  first = run("benchmarks.kuairand", *flags, cwd=tmp_path)
  assert first.returncode == 0, first.stdout + first.stderr
  assert first.stdout.count("fitted to the first 64 examples") == 2
  assert [len(each) for each in json.loads((tmp_path / "all.json").read_text()).values()] == [2]
  again = run("benchmarks.kuairand", *flags, cwd=tmp_path)
  assert again.stdout.count("measured already") == 2
  wrong = run("benchmarks.kuairand", *flags, "--tasks=likes", cwd=tmp_path)
  assert wrong.returncode == 2 and "--tasks: found 'likes', allowed: " in wrong.stderr

"""The default command from nothing: data, the production architecture, ten steps, an export."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.end_to_end.command_runner import run
from tfrecords import paths

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all", "//tests/golden:all"]
_STEPS = 10


@pytest.fixture(scope="module")
def home(tmp_path_factory):
  return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def output(home):
  done = run("heavy_ranker.train", "--export_dir=saved", cwd=home)
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout


def test_says_that_it_writes_random_data_and_ends_with_what_to_do_next(home, output):
  assert re.search(r"no file matches .*recap_local_random_data.*: writing 2048 random", output)
  assert len(list((home / "tmp" / "recap_local_random_data").glob("*.gz"))) == 4
  assert f"step {_STEPS}: loss" in output
  assert "these figures mean nothing" in output
  assert re.search(rf"export +{home}/saved/1\n", output)
  assert "tensorboard --logdir" in output


def test_the_checkpoint_holds_the_production_parameters(home, output):
  checkpoint = tf.train.latest_checkpoint(str(home / "tmp/runs/recap_local_debug/checkpoints"))
  assert checkpoint.endswith(f"step-{_STEPS}")
  no_parameter = re.compile(r"OPTIMIZER_SLOT|moving_mean|moving_variance|/calls/|\.Scalls/")
  parameters = sum(
    int(np.prod(shape))
    for name, shape in tf.train.list_variables(checkpoint)
    if name.startswith("weights/") and not no_parameter.search(name)
  )
  assert parameters == 48_115_108


def test_the_export_scores_records_as_they_were_written(home, output):
  serve = tf.saved_model.load(str(home / "saved" / "1")).signatures["score_examples"]
  shard = str(next((home / "tmp" / "recap_local_random_data").glob("*.gz")))
  records = [r.numpy() for r in tf.data.TFRecordDataset(shard, "GZIP").take(3)]
  outputs = serve(tf.constant(records))
  assert outputs["probabilities"].shape == (3, 10)
  weights = json.loads((home / "saved/1/assets.extra/score.json").read_text())["weights"]
  good_clicks = [t for t in weights if "good_clicked" in t]
  expected = sum(
    weight * outputs[task].numpy() for task, weight in weights.items() if task not in good_clicks
  )
  expected += 11 * np.maximum(*(outputs[task].numpy() for task in good_clicks))
  np.testing.assert_allclose(outputs["score"], expected, rtol=1e-4)


def test_a_file_of_the_references_shape_trains_through_config_path(home, output, tmp_path):
  """The golden file is the reference's own production YAML at tiny widths."""
  schema = tmp_path / "projects/home/recap/config/home_recap_2022/segdense.json"
  schema.parent.mkdir(parents=True)
  root = Path(paths.package_root())
  schema.write_text((root / "configs/home_recap_2022/segdense.json").read_text())
  golden = os.path.join(os.path.dirname(os.path.dirname(__file__)), "golden", "a_full.yaml")
  # The reference keeps the records where the default command has just written some.
  save_dir = f"training.save_dir={tmp_path / 'run'}"
  flags = [f"--config_path={golden}", "--set", save_dir, f"--export_dir={tmp_path / 'saved'}"]
  done = run("heavy_ranker.train", *flags, cwd=home, TML_BASE=str(tmp_path))
  assert done.returncode == 0, done.stdout + done.stderr
  assert f"step {_STEPS}: loss" in done.stdout
  assert (tmp_path / "saved" / "1" / "saved_model.pb").exists()

"""Tests of the command `//tfrecords:analyze`, run as a user runs it."""

import json

import pytest

from tests.end_to_end.command_runner import run
from tfrecords import paths
from tfrecords.config.data import load_data_config
from tfrecords.generator import generate

BAZEL_DATA = ["//configs:all"]

DEMO = f"{paths.package_root()}/configs/demo.yaml"
FLAG = f"--config_path={DEMO}"
NAME = "home_recap_2022_cont__segdense_vals"


@pytest.fixture(scope="module", name="home")
def home_fixture(tmp_path_factory):
  """Records where the demo looks for those to train on and those of its partition."""
  home = tmp_path_factory.mktemp("home")
  for partition, folder in (("", "train"), ("validation", "validation")):
    key = f"validation_data.{partition}" if partition else "train_data"
    inputs = f"{key}.inputs={home}/tmp/heavy_ranker_demo/{folder}/*.gz"
    generate(load_data_config(DEMO, (inputs,), partition), 60, 2, seed=len(partition))
  return home


def test_beside_the_records_with_the_lines_to_paste(home):
  done = run("tfrecords.analyze", FLAG, cwd=home)
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  path = home / "tmp/heavy_ranker_demo/train.statistics.json"
  lines = done.stdout.splitlines()
  assert lines[0].startswith("60 examples of 2 file(s), ") and lines[0].endswith(f": {path}")
  assert f'        analysis_path: "{path}"' in lines
  assert lines[-1].startswith("  python -m heavy_ranker.train --config_path=")
  assert json.loads(path.read_text())["features"][NAME]["count"] == 60

  again = run("tfrecords.analyze", FLAG, cwd=home)
  assert again.returncode == 4
  assert f"error: {path}: already there. Replace it with --overwrite" in again.stderr


def test_rows_of_a_partition_relative_to_the_caller(home, tmp_path):
  flags = ["--partition=validation", "--format=rows", "--max_examples=9", "--output_path=new/rows"]
  inputs = f"validation_data.validation.inputs={home}/tmp/heavy_ranker_demo/validation/*.gz"
  done = run("tfrecords.analyze", FLAG, *flags, "--set", inputs, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("9 examples of 2 file(s)")
  assert "use_bq_stats: true" in done.stdout
  rows = [json.loads(line) for line in (tmp_path / "new/rows").read_text().splitlines()]
  assert set(rows[0]) == {"feature", "index", "mean", "std"}
  assert NAME in {row["feature"] for row in rows}


@pytest.mark.parametrize(
  "flags, code, message",
  [
    (["--format=csv"], 2, "--format=csv: value should be one of <json|rows>"),
    (["--max_examples=0"], 2, "--max_examples: found 0, allowed: at least 1"),
    (["--partition=none"], 2, "none"),
    (["records"], 2, "found 'records', allowed: flags"),
    (["--set", "train_data.inputs=nowhere/*.gz"], 3, "no file matches"),
    (["--output_path=/dev/null/x"], 4, "--output_path: /dev/null cannot be written"),
    (["--output_path=."], 4, "is a folder, allowed: a file"),
  ],
)
def test_bad_flags(home, flags, code, message):
  done = run("tfrecords.analyze", FLAG, *flags, cwd=home)
  assert done.returncode == code, done.stderr
  assert done.stderr.startswith("error: ") and message in done.stderr
  assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_help_names_the_shared_flags_and_an_example(tmp_path):
  done = run("tfrecords.analyze", "--help", cwd=tmp_path)
  for words in ("--config_path", "--set", "--max_examples", "./bazelw run //tfrecords:analyze"):
    assert words in done.stdout

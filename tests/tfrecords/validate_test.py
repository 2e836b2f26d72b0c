"""Tests of the command `//tfrecords:validate`, run as a user runs it."""

import gzip
import json
import os
import re

import pytest

from tests.end_to_end.command_runner import run
from tests.tfrecords.record_files import (
  SCHEMA,
  compress,
  flip,
  plain_bytes,
  record,
  write_schema,
  write_shard,
)
from tfrecords import paths
from tfrecords.config.data import load_data_config
from tfrecords.generator import generate

BAZEL_DATA = ["//configs:all", "validated_files.txt"]
BAZEL_SIZE = "large"

DEMO = f"{paths.package_root()}/configs/demo.yaml"
EXPECTED = f"{paths.package_root()}/tests/tfrecords/validated_files.txt"
IDS = [
  {"feature_name": name, "dtype": "int64_list", "length": 1}
  for name in ("meta.user_id", "meta.tweet_id")
]


def example(index, **changes):
  return record(index, meta__user_id=[index // 3], meta__tweet_id=[index], **changes)


@pytest.fixture(scope="module", name="home")
def home_fixture(tmp_path_factory):
  """A folder with one file of each kind of damage."""
  home = tmp_path_factory.mktemp("home")
  bad = home / "bad"
  bad.mkdir()
  good = [example(index) for index in range(20)]
  plain, first = plain_bytes(good), len(plain_bytes(good[:1]))
  write_shard(bad / "a_good.gz", good, "GZIP")
  (bad / "bad_data").write_bytes(flip(plain, first + 60))
  (bad / "bad_header").write_bytes(flip(plain, first + 2))
  (bad / "cut.gz").write_bytes(compress(plain, "GZIP")[:-4])
  many = plain_bytes([example(100)] * 1500)
  (bad / "cut_in_header").write_bytes(many + plain[:12])
  (bad / "empty").write_bytes(b"")
  (bad / "folder.gz").mkdir()
  (bad / "no_record.gz").write_bytes(gzip.compress(b"", mtime=0))
  write_shard(bad / "other", [b"\xff\xfe no Example", example(200)])
  (bad / "plain.gz").write_bytes(plain_bytes([example(300)]))
  (bad / "text.txt").write_text("to whom it may concern\n" * 100)
  nan = [float("nan"), 1.0, 2.0, 3.0, float("inf")]
  features = [
    example(401, cont_vals=[1, 2, 3, 4, 5]),
    example(402, binary_vals=[1]),
    example(403, is_liked=[7]),
    example(404, is_replied=None),
    example(405, extra=[1.0]),
    example(406, spare=None),
    example(407, cont_vals=nan),
  ]
  write_shard(bad / "wrong_features", features)
  write_schema(home, SCHEMA + IDS)
  return home


FLAGS = ["--schema=schema.json", "--files=bad", "--labels=is_liked,is_replied"]


def without_accidents(text, home):
  """Takes out where the files lie, and how well this zlib compresses."""
  return re.sub(r"[\d,]+ bytes", "N bytes", text.replace(str(home), "HOME"))


def test_one_file_of_each_damage(home):
  done = run("tfrecords.validate", *FLAGS, "--report_file=report.json", cwd=home)
  assert done.returncode == 3, done.stderr
  assert done.stderr == ""
  with open(EXPECTED, encoding="utf-8") as file:
    assert without_accidents(done.stdout, home) == file.read()
  _check_report(json.loads((home / "report.json").read_text()))


def _check_report(report):
  (section,) = report["sections"]
  assert (report["exit_code"], section["section"]) == (3, "--files")
  found = {
    (os.path.basename(finding["path"]), finding["kind"]): finding for finding in section["findings"]
  }
  size = len(plain_bytes([example(0)]))
  assert found["bad_data", "bad_checksum"]["places"] == [{"offset": size, "record": 1}]
  assert found["cut_in_header", "cut_short"]["places"][0]["record"] is None
  assert found["wrong_features", "bad_label"]["places"][0]["record"] == 2
  assert found["wrong_features", "bad_label"]["message"] == "found 7, allowed: 0 or 1"
  files = {os.path.basename(file["path"]): file for file in section["files"]}
  assert files["a_good.gz"]["records"] == files["a_good.gz"]["readable"] == 20
  assert files["wrong_features"]["missing"] == {"spare": 1}
  assert section["features"]["cont_vals"]["non_finite_columns"].keys() == {"0", "4"}


@pytest.fixture(scope="module", name="demo")
def demo_fixture(tmp_path_factory):
  """Records where the demo looks for those to train on and those of its partition."""
  home = tmp_path_factory.mktemp("demo")
  for partition, folder in (("", "train"), ("validation", "validation")):
    key = f"validation_data.{partition}" if partition else "train_data"
    inputs = f"{key}.inputs={home}/tmp/heavy_ranker_demo/{folder}/*.gz"
    config = load_data_config(DEMO, (inputs,), partition)
    generate(config, 60, 2, "planted", len(partition), write_probabilities=bool(partition))
  return home


def test_a_configuration_s_sections_are_clean(demo):
  done = run("tfrecords.validate", f"--config_path={DEMO}", cwd=demo)
  assert done.returncode == 0, done.stdout + done.stderr
  lines = done.stdout.splitlines()
  heads = [line.split(":")[0] for line in lines if "60 record(s), 60 of them readable" in line]
  assert heads == ["train_data", "validation_data.validation"]
  assert "0 error(s), 0 warning(s): exit code 0" in lines
  assert lines[-1].startswith("  python -m heavy_ranker.train --config_path=")


def test_warnings_have_an_exit_code_of_their_own(demo):
  flags = [f"--config_path={DEMO}", "--section=validation"]
  allowed = "validation_data.validation.checks.allowed_features=[]"
  done = run("tfrecords.validate", *flags, "--set", allowed, cwd=demo)
  assert done.returncode == 11, done.stdout + done.stderr
  assert "0 error(s), 26 warning(s): exit code 11" in done.stdout


def test_a_baseline_is_saved_and_compared_with(demo):
  flags = [f"--config_path={DEMO}", "--section=train_data"]
  done = run("tfrecords.validate", *flags, "--save_statistics=new/base.json", cwd=demo)
  assert done.returncode == 0, done.stdout + done.stderr
  assert f"statistics: {demo}/new/base.json" in done.stdout
  again = run("tfrecords.validate", *flags, "--save_statistics=new/base.json", cwd=demo)
  assert again.returncode == 4 and "Replace it with --overwrite" in again.stderr
  done = run("tfrecords.validate", *flags, "--compare_statistics=new/base.json", cwd=demo)
  assert done.returncode == 0, done.stdout + done.stderr
  assert f"drift from {demo}/new/base.json, the largest first" in done.stdout


@pytest.mark.parametrize(
  "flags, code, message",
  [
    (["--section=none"], 2, "'none' is missing"),
    (["--labels=a"], 2, "--labels: found without --schema"),
    (["--section=train_data", "--set", "train_data.inputs=no/*"], 3, "no file matches"),
    ([*FLAGS, "--report_file=/dev/null/x"], 4, "/dev/null cannot be written"),
  ],
)
def test_bad_flags(home, flags, code, message):
  done = run("tfrecords.validate", f"--config_path={DEMO}", *flags, cwd=home)
  assert done.returncode == code, done.stdout + done.stderr
  assert done.stderr.startswith("error: ") and message in done.stderr
  assert done.stdout == ""

"""Tests of the command `//tfrecords:generate`, run as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfrecords.config.data import load_data_config
from tfrecords.generator import generate

BAZEL_DATA = ["//configs:all"]

ROOT = Path(__file__).parents[2]
DEMO = f"--config_path={ROOT}/configs/demo.yaml"


def _run(home, *arguments, cwd=ROOT):
  environment = {name: v for name, v in os.environ.items() if not name.startswith("BUILD_WOR")}
  environment.update(HOME=str(home), PYTHONPATH=str(ROOT))
  return subprocess.run(
    [sys.executable, "-m", "tfrecords.generate", *arguments],
    cwd=cwd,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def _files(folder):
  """Content by path of all files but Keras's own settings, which it puts into any new HOME."""
  files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
  return {name: p.read_bytes() for name, p in files.items() if not name.startswith(".keras/")}


def test_the_default_configuration(tmp_path):
  result = _run(tmp_path, "--n_examples=8")
  assert result.returncode == 0, result.stderr
  data = tmp_path / "tmp/recap_local_random_data"
  assert sorted(_files(data)) == [f"part-0000{i}-of-00004.gz" for i in range(4)]
  lines = result.stdout.splitlines()
  n_bytes = sum(map(len, _files(data).values()))
  assert lines[0] == f"8 examples in 4 shard(s), {n_bytes:,} bytes: {data}/*.gz"
  assert any(line.split()[0] == "recap.engagement.is_replied" for line in lines)
  assert lines[-1].strip() == "python -m heavy_ranker.train"
  assert result.stderr == ""


def test_planted_records_in_a_partition_same_flags_same_bytes(tmp_path):
  flags = ["--kind=planted", "--n_examples=100", "--partition=validation", "--seed=5"]
  flags += ["--write_probabilities", "--teacher_seed=2", "--num_shards=3"]
  result = _run(tmp_path / "a", DEMO, *flags)
  assert result.returncode == 0, result.stderr
  # Another process writes the same.
  inputs = f"validation_data.validation.inputs={tmp_path}/b/tmp/heavy_ranker_demo/validation/*.gz"
  config = load_data_config(f"{ROOT}/configs/demo.yaml", (inputs,), "validation")
  options = {"kind": "planted", "seed": 5, "teacher_seed": 2, "write_probabilities": True}
  generate(config, 100, 3, **options)
  written = _files(tmp_path / "a")
  assert written == _files(tmp_path / "b")
  assert sorted(written) == [
    f"tmp/heavy_ranker_demo/validation/part-0000{i}-of-00003.gz" for i in range(3)
  ]
  assert "--config_path=configs/demo.yaml" in result.stdout.splitlines()[-1]


def test_output_is_relative_to_the_caller_and_named_in_the_next_command(tmp_path):
  flags = [DEMO, "--n_examples=2", "--num_shards=1", "--output=out/*.tfrecord"]
  result = _run(tmp_path, *flags, cwd=tmp_path)
  assert result.returncode == 0, result.stderr
  assert list(_files(tmp_path)) == ["out/part-00000-of-00001.tfrecord"]
  next_command = result.stdout.splitlines()[-1]
  assert f"--set 'train_data.inputs={tmp_path}/out/*.tfrecord'" in next_command


@pytest.mark.parametrize(
  "flags, code, message",
  [
    (["--kind=tidy"], 2, "--kind=tidy: value should be one of <random|planted>"),
    (["--n_examples=many"], 2, "--n_examples=many"),
    (["--n_example=3"], 2, "n_example"),
    (["--num_shards=9", "--n_examples=4"], 2, "--num_shards: found 9, allowed: at most 4"),
    (["--seed=-1"], 2, "--seed: found -1"),
    (["--compression=zip"], 2, "--compression=zip"),
    (["--partition=none"], 2, "none"),
    (["--output=a/*/b*.gz"], 2, "--output: found 'a/*/b*.gz', allowed: one *"),
    (["records"], 2, "found 'records', allowed: flags"),
    (["--output=/dev/null/x"], 4, "/dev/null/x/part-00000-of-00004.tfrecord.gz: cannot be"),
  ],
)
def test_bad_flags(tmp_path, flags, code, message):
  result = _run(tmp_path, DEMO, *flags)
  assert result.returncode == code, result.stderr
  assert result.stderr.startswith("error: ") and message in result.stderr
  assert len(result.stderr.splitlines()) == 1
  assert result.stdout == "" and _files(tmp_path) == {}


def test_overwrite(tmp_path):
  flags = [DEMO, "--n_examples=4", f"--output={tmp_path}/x"]
  generate(load_data_config(f"{ROOT}/configs/demo.yaml"), 4, output=f"{tmp_path}/x")
  before = _files(tmp_path)
  refused = _run(tmp_path, *flags, "--num_shards=1")
  assert refused.returncode == 4
  assert "part-00003-of-00004.tfrecord.gz: already there" in refused.stderr
  assert "--overwrite" in refused.stderr and _files(tmp_path) == before
  assert _run(tmp_path, *flags, "--num_shards=1", "--overwrite").returncode == 0
  assert list(_files(tmp_path)) == ["x/part-00000-of-00001.tfrecord.gz"]

"""Tests of the command `tfrecords.pack`."""

import json

import yaml

from tests.end_to_end.command_runner import run
from tests.tfrecords import record_files
from tests.tfrecords.packed.packed_files import packed_config, source_config, write_records
from tfrecords.input_pipeline import InputPipeline

BAZEL_SIZE = "medium"


def _write_config(folder):
  section = source_config(folder).model_dump(exclude_none=True)
  content = {"train_data": section, "validation_data": {"held_out": section}}
  (folder / "config.yaml").write_text(yaml.safe_dump(content))


def test_the_command(tmp_path):
  write_records(tmp_path)
  _write_config(tmp_path)
  done = run(
    "tfrecords.pack",
    f"--config_path={tmp_path / 'config.yaml'}",
    "--section=validation_data.held_out",
    "--output_dir=packed",
    "--feature_dtype=bfloat16",
    "--compression=small",
    "--features=continuous,meta__author_id",
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  assert "15 examples in 3 shard(s)" in done.stdout
  assert "validation_data.held_out.packed=true" in done.stdout
  content = json.loads((tmp_path / "packed" / "packed.json").read_text())
  names = [array["name"] for array in content["arrays"]]
  assert names[:2] == ["feature/continuous", "feature/meta__author_id"]
  assert content["arrays"][0]["dtype"] == "bfloat16"
  pipeline = InputPipeline(packed_config(tmp_path), "evaluate", ["meta__author_id"])
  assert record_files.read_eagerly(pipeline) == list(range(15))


def test_flags_that_cannot_be_used(tmp_path):
  write_records(tmp_path)
  _write_config(tmp_path)
  for arguments, message in (
    (["--section=score", "--output_dir=x"], "--section: found 'score', allowed: train_data"),
    ([], "--output_dir: found nothing"),
    (["--section=validation_data.other", "--output_dir=x"], "held_out"),
  ):
    flag = f"--config_path={tmp_path / 'config.yaml'}"
    done = run("tfrecords.pack", flag, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr

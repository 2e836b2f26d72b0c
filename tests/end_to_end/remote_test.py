"""The commands with everything in an object store: records, schema, checkpoints, logs, exports."""

import json

import pytest
import yaml

from benchmarks.server_process import ServerProcess
from heavy_ranker import load_config, train
from tests.end_to_end.command_runner import run
from tests.heavy_ranker import small_run
from tests.tfrecords.s3_server import BUCKET, S3Server

BAZEL_SIZE = "large"


@pytest.fixture(scope="module")
def server():
  server = S3Server()
  yield server
  server.stop()


@pytest.fixture(scope="module")
def folder(server, tmp_path_factory):
  """A folder with configurations of the same run: on s3:// and on this disk."""
  path = tmp_path_factory.mktemp("remote")
  content = json.dumps(small_run.small_content(path))
  server.upload(path)
  (path / "local.yaml").write_text(yaml.safe_dump(json.loads(content)))
  remote = json.loads(content.replace(str(path), f"s3://{BUCKET}"))
  (path / "remote.yaml").write_text(yaml.safe_dump(remote))
  return path


def _losses(output):
  words = (line.split() for line in output.splitlines() if line.startswith("step "))
  return [(found[1], found[3]) for found in words]


def _losses_of(done):
  assert done.returncode == 0, done.stderr
  return _losses(done.stdout)


def test_train_resume_score_serve(server, folder, monkeypatch, capsys):
  flags = ["--config_path=remote.yaml", f"--export_dir=s3://{BUCKET}/exports"]
  environment = server.environment()
  train(load_config(folder / "local.yaml"))
  local = _losses(capsys.readouterr().out)
  assert len(local) == 6
  first = run("heavy_ranker.train", *flags, cwd=folder, **environment)
  assert _losses_of(first) == local
  assert f"export       s3://{BUCKET}/exports/1" in first.stdout
  assert first.stderr == "", "the logs are quiet"
  names = server.names()
  assert {
    "exports/1/saved_model.pb",
    "exports/1/assets.extra/score.json",
    "run/checkpoints/step-6.index",
    "run/evaluation/step-6.json",
    "run/train.log",
  } <= set(names)
  assert not [name for name in names if "unfinished" in name or ".partial" in name]

  more = "training.num_train_steps=8"
  again = run("heavy_ranker.train", *flags, "--set", more, cwd=folder, **environment)
  assert f"resuming from s3://{BUCKET}/run/checkpoints/step-6" in again.stdout
  assert [step for step, _ in _losses_of(again)] == ["7:", "8:"]
  assert "exports/2/saved_model.pb" in server.names()

  scored = run(
    "heavy_ranker.score",
    f"--export_dir=s3://{BUCKET}/exports",
    f"--inputs=s3://{BUCKET}/data/*.gz",
    f"--output_dir=s3://{BUCKET}/scores",
    cwd=folder,
    **environment,
  )
  assert scored.returncode == 0, scored.stderr
  assert len([name for name in server.names("scores/") if name.endswith(".parquet")]) == 3

  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  with ServerProcess(f"s3://{BUCKET}/exports", str(folder / "server.log")) as served:
    served.wait_for_version(2, seconds=60)


def test_a_bucket_that_may_not_be_written_is_a_storage_error(server, folder):
  done = run(
    "heavy_ranker.train",
    "--config_path=remote.yaml",
    "--set",
    "training.save_dir=s3://elsewhere/run",
    cwd=folder,
    **server.environment(),
  )
  assert done.returncode == 4
  assert "training.save_dir: s3://elsewhere/run cannot be written" in done.stderr
  assert "S3_ENDPOINT" in done.stderr

"""The command as a user runs it, on a small model: every part of a start has its time."""

import json

from tests.end_to_end.command_runner import run
from tests.heavy_ranker.small_run import write_config


def test_all_parts_are_timed(tmp_path):
  flags = [f"--config_path={write_config(tmp_path)}", "--rounds=1", "--records=40"]
  done = run("benchmarks.startup", *flags, cwd=tmp_path)
  assert done.returncode == 0, done.stdout + done.stderr
  found = json.loads(done.stdout)
  parts = found["parts"]
  assert list(parts) == [
    *("python", "import", "config", "model", "data", "trace", "first_step", "second_step")
  ]
  assert min(parts.values()) >= 0
  before = sum(seconds for name, seconds in parts.items() if name != "second_step")
  assert abs(found["seconds"] - before) < 0.1
  assert found["train_command_seconds"] > parts["import"]
  assert not (tmp_path / "run").exists()

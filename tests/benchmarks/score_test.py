"""The command as a user runs it, on a model that scores in no time: what it prints makes sense."""

import json
import sys

import pytest

from tests.end_to_end.command_runner import run
from tests.heavy_ranker.small_run import write_config

PEER = "--peer_command=" + " ".join([sys.executable, "-m", "tests.benchmarks.fake_peer"])


def test_everything_is_measured(tmp_path):
  flags = [f"--config_path={write_config(tmp_path)}", "--sizes=1,5", "--rounds=2", "--calls=6"]
  done = run("benchmarks.score", *flags, PEER, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout)
  assert list(found["sizes"]) == ["1", "5"]
  for size, figures in found["sizes"].items():
    for name in ("keras", "signature"):
      speed = figures[f"{name}_examples_per_second"]
      assert speed > 0
      assert 0 < figures[f"{name}_share_of_floor"] < 1
      assert figures[f"{name}_to_peer"] == pytest.approx(speed / (int(size) + 100), rel=0.5)
    assert figures["signature_to_keras"] > 0
    assert figures["memory_gb_per_second"] > 0
  assert not (tmp_path / "run").exists()


def test_a_peer_without_the_size_is_an_error(tmp_path):
  flags = [f"--config_path={write_config(tmp_path)}", "--sizes=2", "--rounds=1", "--calls=5"]
  done = run("benchmarks.score", *flags, PEER, cwd=tmp_path)
  assert done.returncode == 2
  assert "score.2: found None" in done.stderr

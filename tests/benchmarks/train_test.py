"""The command as a user runs it, on a model that trains in no time: what it prints makes sense."""

import json
import sys

import pytest

from tests.end_to_end.command_runner import run
from tests.heavy_ranker.small_run import write_config

COMMAND = "benchmarks.train"
PEER = "--peer_command=" + " ".join([sys.executable, "-m", "tests.benchmarks.fake_peer"])


def test_everything_is_measured(tmp_path):
  flags = [f"--config_path={write_config(tmp_path)}", "--batch_sizes=8,4", "--rounds=2", PEER]
  flags += ["--steps=3", "--input_steps=5", "--records=40", "--output_path=out/train.json"]
  done = run(COMMAND, *flags, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout)
  assert found == json.loads((tmp_path / "out" / "train.json").read_text())
  assert list(found["batch_sizes"]) == ["4", "8"]
  for size, figures in found["batch_sizes"].items():
    speed = figures["examples_per_second"]
    assert speed == pytest.approx(1e3 * int(size) / figures["step_milliseconds"], rel=0.5)
    assert 0 < figures["share_of_floor"] < 1
    assert figures["peer_examples_per_second"] == 10.0
    assert figures["to_peer"] == pytest.approx(speed / 10, rel=0.01)
    assert 50 < figures["peak_memory_mb"] < 10_000
    assert figures["matmul_gflops"] > 0
  assert (found["input"]["batch_size"], found["input"]["steps"]) == (16, 5)
  assert 0 <= found["input"]["share_of_time_waiting"] < 1
  assert found["parameters"] > found["forward_mflop_per_example"] >= 0


@pytest.mark.parametrize(
  ("flag", "words"),
  [
    ("--batch_sizes=0", "--batch_sizes: found '0'"),
    ("--peer_command=", "--peer_command: found nothing"),
    ("--rounds=0", "rounds"),
    ("--set=train_data.tasks=null", "tasks"),
  ],
)
def test_what_cannot_work_is_said(flag, words, tmp_path):
  done = run(COMMAND, f"--config_path={write_config(tmp_path)}", flag, cwd=tmp_path)
  assert done.returncode == 2, done.stdout + done.stderr
  assert words in done.stderr
  assert "Traceback" not in done.stderr

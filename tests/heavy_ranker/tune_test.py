"""The command from start to end, and what it says of what it cannot use."""

import os
import signal
import subprocess
import time

import pytest
import yaml

from heavy_ranker.config import load_config
from tests.end_to_end.command_runner import environment, python_command, run
from tests.heavy_ranker.small_run import PLAIN_MODEL, small_content

BAZEL_SIZE = "large"

_COMMAND = "heavy_ranker.tune"
_RATE = "model.backbone.mlp_config.dropout.rate"
_SPACE = {
  "parameters": {_RATE: {"low": 0.0, "high": 0.4, "step": 0.1}},
  "objective": {"partition": "validation", "metric": "log_loss"},
  "pruner": {"median": {"rungs": [0.5]}},
  "n_trials": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tune")
  content = {**small_content(folder), "model": PLAIN_MODEL}
  (folder / "small.yaml").write_text(yaml.safe_dump(content))
  (folder / "space.yaml").write_text(yaml.safe_dump(_SPACE))
  return folder


def test_a_search_that_is_ended_goes_on_and_leaves_a_configuration_that_trains(folder):
  flags = ("--config_path=small.yaml", "--space=space.yaml", "--set", "training.seed=5")
  output = folder / "run_search"
  first = subprocess.Popen(
    python_command(_COMMAND, *flags), cwd=folder, env=environment(folder), stderr=subprocess.PIPE
  )
  trained = output / "trials" / "0" / "checkpoints" / "step-3.index"
  while not trained.exists() and first.poll() is None:
    time.sleep(0.05)
  first.send_signal(signal.SIGTERM)
  message = first.communicate()[1].decode()
  assert first.returncode == 10 and "The same command goes on" in message
  done = run(_COMMAND, *flags, cwd=folder)
  assert done.returncode == 0, done.stderr
  assert "done: 2 trials: 2 complete, 0 pruned, 0 failed" in done.stdout
  assert os.listdir(output / "trials") == []
  best = load_config(output / "best.yaml")
  assert best.training.seed == 5 and best.training.num_train_steps == 6
  assert best.training.save_dir == str(output / "best_run")
  other = run(_COMMAND, *flags, "--set", "training.seed=6", cwd=folder)
  assert other.returncode == 2
  assert "configuration.training.seed: 5 there, 6 here" in other.stderr


@pytest.mark.parametrize(
  "flags, code, message",
  [
    ([], 2, "--space: found nothing"),
    (["--space=none.yaml"], 2, "none.yaml: the configuration file cannot be read"),
    (["--space=space.yaml", "--n_trials=0"], 2, "--n_trials: found 0"),
    (["--space=space.yaml", "--set", "validation_data=null"], 2, "there is none"),
    (["--space=space.yaml", "--output_dir=data"], 4, "holds something else (part-0.gz"),
  ],
)
def test_what_cannot_be_used_is_told(folder, flags, code, message):
  ended = run(_COMMAND, "--config_path=small.yaml", *flags, cwd=folder)
  assert ended.returncode == code and message in ended.stderr, ended.stderr
  assert "Traceback" not in ended.stderr

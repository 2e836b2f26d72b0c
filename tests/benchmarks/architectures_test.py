"""The command as a user runs it: trains what is not measured yet, prints the table."""

import json

import pytest

from benchmarks.comparison import TEACHER
from tests.benchmarks.tiny_data import ARCHITECTURES, write_tiny_data
from tests.end_to_end.command_runner import run

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all"]
COMMAND = "benchmarks.architectures"
RUNS = "tmp/runs/architectures"


def _flags(overrides, *names):
  globs = ",".join(str(ARCHITECTURES / f"{name}.yaml") for name in names)
  sets = [flag for override in overrides for flag in ("--set", override)]
  return [f"--configs={globs}", "--set", "training.train_log_every_n=1", *sets]


def test_a_comparison_is_resumed_and_made_again(tmp_path):
  overrides = write_tiny_data(tmp_path / "data")
  flags = [*_flags(overrides, "mlp", "logistic_regression"), "--output_path=out/all.json"]

  first = run(COMMAND, *flags, "--num_train_steps=3", cwd=tmp_path)
  assert first.returncode == 0, first.stdout + first.stderr
  assert first.stderr == ""
  rows = json.loads((tmp_path / "out" / "all.json").read_text())
  assert set(rows) == {"mlp", "logistic_regression", TEACHER}
  assert rows["mlp"]["steps"] == 3
  assert rows["mlp"]["examples_per_second"] > 0
  table = [line for line in first.stdout.splitlines() if line.startswith("|")]
  assert len(table) == 5
  assert table[2].startswith(f"| {TEACHER} ")
  assert " 141,898 |" in table[3] + table[4]

  again = run(COMMAND, *flags, "--num_train_steps=3", cwd=tmp_path)
  assert again.stdout.count("measured already: ") == 2
  assert "step 1:" not in again.stdout
  assert [line for line in again.stdout.splitlines() if line.startswith("|")] == table

  # One that was cut off after training is only measured; one that has changed is trained anew.
  record = tmp_path / RUNS / "mlp" / "measurement.json"
  known = json.loads(record.read_text())
  record.write_text(json.dumps({"configuration": known["configuration"]}))
  record = tmp_path / RUNS / "logistic_regression" / "measurement.json"
  record.write_text(record.read_text().replace('"seed": 0', '"seed": 1'))
  mended = run(COMMAND, *flags, "--num_train_steps=3", cwd=tmp_path)
  assert mended.returncode == 0, mended.stdout + mended.stderr
  assert "nothing left to train: 3 of 3" in mended.stdout
  assert f"the earlier run now lies in {tmp_path}/{RUNS}/logistic_regression.1" in mended.stdout
  assert mended.stdout.count("step 3: loss") == 1

  one = _flags(overrides, "logistic_regression")
  fresh = run(COMMAND, *one, "--num_train_steps=3", "--fresh", cwd=tmp_path)
  assert "logistic_regression.2;" in fresh.stdout
  assert fresh.stdout.count("step 3: loss") == 1


def test_without_the_teachers_probabilities_there_is_no_row_for_it(tmp_path):
  overrides = write_tiny_data(tmp_path / "data", write_probabilities=False)
  flags = _flags(overrides, "logistic_regression")
  done = run(COMMAND, *flags, "--num_train_steps=1", cwd=tmp_path)
  assert done.returncode == 0, done.stdout + done.stderr
  assert "no row for the teacher" in done.stdout
  assert TEACHER not in done.stdout


@pytest.mark.parametrize(
  ("flag", "exit_code", "words"),
  [
    ("--configs=none/*.yaml", 2, "no file matches 'none/*.yaml'"),
    ("--config_path=x.yaml", 2, "--configs=GLOB"),
    ("--num_train_steps=0", 2, "num_train_steps"),
    ("--output_path=.", 4, "is a folder"),
    ("--set=train_data.inputs=none/*.gz --set=train_data.num_files_to_keep=many", 2, "'many'"),
    ("--set=model.tasks.recap.engagement.is_replied.mlp_config.dropout=3", 2, "dropout"),
  ],
)
def test_what_cannot_work_is_said_before_anything_is_trained(flag, exit_code, words, tmp_path):
  flags = [f"--configs={ARCHITECTURES}/logistic_regression.yaml", *flag.split()]
  done = run(COMMAND, *flags, cwd=tmp_path)
  assert done.returncode == exit_code, done.stdout + done.stderr
  assert words in done.stderr
  assert "Traceback" not in done.stderr
  assert not (tmp_path / "tmp").exists()


def test_a_failing_process_ends_the_comparison_with_its_exit_code(tmp_path):
  overrides = write_tiny_data(tmp_path / "data")
  flags = _flags([*overrides, "train_data.global_batch_size=5000"], "logistic_regression")
  done = run(COMMAND, *flags, cwd=tmp_path)
  assert done.returncode == 3
  assert "allowed: at most 64" in done.stderr
  assert "Traceback" not in done.stderr

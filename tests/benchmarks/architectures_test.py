"""The comparison trains what is not measured yet and prints the table; first as a user runs it."""

import json
import types

import pytest

from benchmarks import comparison
from benchmarks.candidates import find
from benchmarks.comparison import TEACHER, compare
from benchmarks.measurement import measure
from heavy_ranker import load_config
from tests.benchmarks.tiny_data import ARCHITECTURES, write_tiny_data
from tests.end_to_end.command_runner import run
from tests.heavy_ranker.without_report import leave_report_out

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all"]
COMMAND = "benchmarks.architectures"
RUNS = "tmp/runs/architectures"


SHORT = ("training.train_log_every_n=1", "evaluation.bootstrap_samples=0")


def _globs(*names):
  return [str(ARCHITECTURES / f"{name}.yaml") for name in names]


def _flags(overrides, *names):
  sets = [flag for override in (*SHORT, *overrides) for flag in ("--set", override)]
  return [f"--configs={','.join(_globs(*names))}", *sets]


@pytest.fixture(name="at_home")
def at_home_fixture(tmp_path, monkeypatch):
  """Makes this process find its files where those of the command are."""
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.chdir(tmp_path)


def _in_this_process(command, **options):
  """What the command of a measurement does."""
  start = command.index("--config_path")
  assert set(command[start + 2 :: 2]) == {"--set"}
  measure(load_config(command[start + 1], command[start + 3 :: 2]))
  return types.SimpleNamespace(returncode=0)


def test_a_comparison_is_resumed_and_made_again(tmp_path, at_home, monkeypatch, capfd):
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

  candidates = find(_globs("mlp", "logistic_regression"), [*SHORT, *overrides], 3)
  capfd.readouterr()
  compare(candidates)
  again = capfd.readouterr().out
  assert again.count("measured already: ") == 2
  assert "step 1:" not in again
  assert [line for line in again.splitlines() if line.startswith("|")] == table

  # One that was cut off after training is only measured; one that has changed is trained anew.
  record = tmp_path / RUNS / "mlp" / "measurement.json"
  known = json.loads(record.read_text())
  record.write_text(json.dumps({"configuration": known["configuration"]}))
  record = tmp_path / RUNS / "logistic_regression" / "measurement.json"
  record.write_text(record.read_text().replace('"seed": 0', '"seed": 1'))
  with monkeypatch.context() as context:
    leave_report_out(context)
    context.setattr(comparison, "subprocess", types.SimpleNamespace(run=_in_this_process))
    compare(candidates)
  mended = capfd.readouterr().out
  assert "nothing left to train: 3 of 3" in mended
  assert f"the earlier run now lies in {tmp_path}/{RUNS}/logistic_regression.1" in mended
  assert mended.count("step 3: loss") == 1

  (linear,) = find(_globs("logistic_regression"), [*SHORT, *overrides], 3)
  compare([linear], fresh=True)
  fresh = capfd.readouterr().out
  assert "logistic_regression.2;" in fresh
  assert fresh.count("step 3: loss") == 1


def test_without_the_teachers_probabilities_there_is_no_row_for_it(
  tmp_path, at_home, monkeypatch, capfd
):
  overrides = write_tiny_data(tmp_path / "data", write_probabilities=False)
  candidates = find(_globs("logistic_regression"), overrides)
  metrics = {task: {"auroc": 0.5} for task in candidates[0].config.model.tasks}
  row = {"parameters": 1, "steps": 1, "examples_per_second": None, "metrics": metrics}
  monkeypatch.setattr(comparison, "measured", lambda candidate, fresh: row)
  rows = compare(candidates)
  assert list(rows) == ["logistic_regression"]
  told = capfd.readouterr().out
  assert "no row for the teacher" in told
  assert TEACHER not in told


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

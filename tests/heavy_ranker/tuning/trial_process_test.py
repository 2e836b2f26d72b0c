"""Trials that really train."""

import os
import signal
import threading

import pytest

from heavy_ranker.config import load_config
from heavy_ranker.config.objective import Objective
from heavy_ranker.evaluation.evaluator import evaluate
from heavy_ranker.training.trainer import train
from heavy_ranker.tuning.trial_config import write_trial_config
from heavy_ranker.tuning.trial_process import OUTPUT_FILE, Trial, TrialFailed, run_trial
from tests.heavy_ranker.small_run import TASKS, write_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import Preempted

BAZEL_SIZE = "large"

_OBJECTIVE = Objective(partition="validation", metric="auroc", tasks=list(TASKS[:2]))


@pytest.fixture(scope="module")
def config_path(tmp_path_factory):
  return str(write_config(tmp_path_factory.mktemp("small")))


@pytest.fixture
def trial(config_path, tmp_path):
  def trial(*overrides, rungs=(2, 4)):
    path, folder = str(tmp_path / "0" / "trial.yaml"), str(tmp_path / "0")
    write_trial_config(path, config_path, (*overrides, f"training.save_dir={folder}"), "a trial")
    return Trial(path, folder, _OBJECTIVE, list(rungs))

  return trial


def test_stages_make_one_run_also_when_interrupted(trial, config_path, tmp_path, monkeypatch):
  leave_report_out(monkeypatch)
  reports = []

  def stop(step, value):
    reports.append((step, value))
    if step == 4:
      raise KeyboardInterrupt
    return True

  made = trial()
  with pytest.raises(KeyboardInterrupt):
    run_trial(made, stop)
  value = run_trial(made, lambda step, value: reports.append((step, value)) or True)
  assert [step for step, _ in reports] == [2, 4, 2, 4] and reports[:2] == reports[2:]
  assert sorted(os.listdir(tmp_path / "0" / "evaluation")) == [
    f"step-{step}.json" for step in (2, 4, 6)
  ], "trials have no report: to draw it takes longer than they do"
  config = load_config(config_path, [f"training.save_dir={tmp_path / 'whole'}"])
  train(config)
  metrics = evaluate(config)["validation"]
  assert value == sum(metrics[task]["auroc"] for task in TASKS[:2]) / 2


def test_a_trial_ends_where_it_does_not_go_on(trial, tmp_path):
  assert run_trial(trial(), lambda step, value: False) is None
  assert os.path.exists(tmp_path / "0" / "checkpoints" / "step-2.index")
  assert not os.path.exists(tmp_path / "0" / "checkpoints" / "step-4.index")


def test_a_failure_brings_its_message_and_exit_code(trial, tmp_path):
  rates = "optimizer.multi_task_learning_rates.backbone_learning_rate"
  with pytest.raises(TrialFailed, match="not finite") as failed:
    run_trial(trial(f"{rates}={{constant: 1e38}}", "optimizer.adam.epsilon=1e-30"), None)
  assert failed.value.exit_code == 6
  with open(tmp_path / "0" / OUTPUT_FILE) as file:
    assert "not finite" in file.read()


@pytest.mark.parametrize(
  "number, error", [(signal.SIGKILL, TrialFailed), (signal.SIGTERM, Preempted)]
)
def test_a_process_that_is_ended_from_outside_is_told_apart(trial, monkeypatch, number, error):
  made = trial("training.num_train_steps=100000", rungs=(2,))

  def end_soon(step, value):
    with open(f"/proc/self/task/{threading.get_native_id()}/children") as file:
      os.kill(int(file.read().split()[-1]), number)
    return True

  with pytest.raises(error):
    run_trial(made, end_soon)

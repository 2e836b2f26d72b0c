"""Runs that learn the scales of their tasks' losses: resumed, measured, exported, begun anew."""

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, evaluate, export, train
from heavy_ranker.checkpoints import latest_checkpoint, stored_shapes, weights_by_name
from heavy_ranker.training.run_log import log_path
from tests.heavy_ranker.small_run import TASKS, small_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import CheckpointError

_LEARNED = "model.task_loss_reduction=uncertainty"


@pytest.fixture(scope="module", name="trained")
def trained_fixture(tmp_path_factory):
  """(folder, history) of a run of 6 steps that learned its scales, in `run`."""
  path = tmp_path_factory.mktemp("learned_loss_scales")
  return path, train(small_config(path, _LEARNED))


@pytest.fixture(name="folder")
def folder_fixture(trained):
  return trained[0]


def _save_dir(folder, name):
  return f"training.save_dir={folder / name}"


def _stored(folder, name):
  checkpoint = latest_checkpoint(str(folder / name))
  return {
    key: tf.train.load_variable(checkpoint, key)
    for key, _ in tf.train.list_variables(checkpoint)
    if "data_position" not in key and "GRAPH" not in key and "save_counter" not in key
  }


def test_a_resumed_run_equals_one_that_never_stopped(folder):
  halves = []
  for steps in (2, 6):
    overrides = [_LEARNED, _save_dir(folder, "halves"), f"training.num_train_steps={steps}"]
    halves += train(small_config(folder, *overrides))
  expected, found = _stored(folder, "run"), _stored(folder, "halves")
  assert expected.keys() == found.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)
  scales = [name for name in expected if name.startswith("task_log_variances/")]
  assert len(scales) == 3 * len(TASKS)  # With both moments of each.
  assert all(expected[name] != 0 for name in scales)


def test_the_log_holds_plain_task_losses_and_log_variances(trained):
  folder, history = trained
  before = dict.fromkeys(TASKS, 0.0)
  for entry in history:
    terms = [math.exp(-before[t]) * entry[f"loss/{t}"] + before[t] / 2 for t in TASKS]
    assert entry["loss"] == pytest.approx(sum(terms), rel=1e-5)
    before = {task: entry[f"log_variance/{task}"] for task in TASKS}
  stored = _stored(folder, "run")
  key = f"task_log_variances/{TASKS[0].replace('.', '..')}/.ATTRIBUTES/VARIABLE_VALUE"
  assert before[TASKS[0]] == stored[key]
  lines = Path(log_path(str(folder / "run"))).read_text().splitlines()
  assert sum(f"log_variance/{TASKS[0]}=" in line for line in lines) == 6


def test_measuring_and_exporting_do_not_ask_for_them(folder, monkeypatch):
  leave_report_out(monkeypatch)
  exported = []
  for overrides in ([], [_LEARNED]):
    config = small_config(folder, *overrides)
    assert set(evaluate(config)["validation"]) == set(TASKS)
    saved = export(config, export_dir=str(folder / "saved"))
    exported.append(tf.train.list_variables(f"{saved}/variables/variables"))
  assert exported[0] == exported[1]
  names = stored_shapes(latest_checkpoint(str(folder / "run"))).keys()
  assert names == weights_by_name(build_model(config)).keys()


def test_a_checkpoint_does_not_change_its_kind_of_loss(folder):
  with pytest.raises(CheckpointError, match="holds learned log variances.*wants none") as error:
    train(small_config(folder, "training.num_train_steps=7"))
  assert "training.initial_checkpoint_dir" in str(error.value)
  plain = _save_dir(folder, "plain")
  train(small_config(folder, plain, "training.num_train_steps=1"))
  with pytest.raises(CheckpointError, match="task_loss_reduction: .* holds no .*wants learned"):
    train(small_config(folder, plain, _LEARNED))
  # The two that learn nothing may take each other's place.
  history = train(
    small_config(folder, plain, "model.task_loss_reduction=sum", "training.num_train_steps=2")
  )
  assert history[0]["loss"] == pytest.approx(sum(history[0][f"loss/{task}"] for task in TASKS))


def test_a_warm_start_takes_the_weights_and_learns_the_scales_anew(folder, capsys):
  initial = f"training.initial_checkpoint_dir={folder / 'run'}"
  for name, overrides in (("warm", [_LEARNED]), ("warm_plain", [])):
    options = [initial, _save_dir(folder, name), "training.num_train_steps=1", *overrides]
    history = train(small_config(folder, *options))
    assert "warm start: 47 of 47 weights from" in capsys.readouterr().out
    losses = [history[0][f"loss/{task}"] for task in TASKS]
    total = np.sum(losses) if overrides else np.mean(losses)
    assert history[0]["loss"] == pytest.approx(total, rel=1e-5)

"""Runs that end early: when, with which checkpoint, and the same however they were interrupted."""

import json
import os
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.killed_run import CHECKPOINT, KilledRun
from benchmarks.run_comparison import differences
from heavy_ranker import train
from heavy_ranker.best_checkpoint import chosen_checkpoint
from heavy_ranker.config.objective import Objective
from heavy_ranker.early_stopping_record import read_record, record_path
from heavy_ranker.evaluation.evaluator import evaluate
from heavy_ranker.evaluation.follower import follow
from heavy_ranker.evaluation.partition_reader import PartitionReader
from heavy_ranker.full_run import train_evaluate_export
from heavy_ranker.training import early_stopping
from heavy_ranker.tuning.trial_run import run_stages
from tests.heavy_ranker.small_run import TASKS, small_config, write_records
from tfrecords.errors import CheckpointError, ConfigError, DataError, Preempted

BAZEL_SIZE = "large"
EVERY = 8
STEPS = 200
# So fast that a few more steps only learn the 120 records by heart.
_OVERRIDES = (
  f"training.num_train_steps={STEPS}",
  f"training.checkpoint_every_n={EVERY}",
  "training.checkpoint_max_to_keep=1",
  "training.seed=1",
  "evaluation.bootstrap_samples=0",
  "optimizer.multi_task_learning_rates=null",
  "optimizer.single_task_learning_rate={constant: 0.03}",
  "training.early_stopping={partition: validation, metric: log_loss, patience: 2}",
)


@pytest.fixture(scope="module", name="folder")
def folder_fixture(tmp_path_factory):
  path = tmp_path_factory.mktemp("early")
  small_config(path)
  write_records(path / "choose", num_examples=60, seed=9)
  return path


def _overrides(folder, run, *more):
  choose = f"validation_data.validation.inputs={folder / 'choose' / '*.gz'}"
  return [*_OVERRIDES, choose, f"training.save_dir={folder / run}", *more]


def _config(folder, run, *more):
  return small_config(folder, *_overrides(folder, run, *more))


@pytest.fixture(scope="module", name="whole")
def whole_fixture(folder):
  """A run that ends by itself, was measured and exported."""
  train_evaluate_export(_config(folder, "whole"), export_dir=str(folder / "whole_export"))
  return folder / "whole"


@pytest.fixture(name="copy")
def copy_fixture(whole, folder, tmp_path):
  """Makes the configuration of a copy of that run."""
  shutil.copytree(whole, tmp_path / "run")
  return lambda *more: _config(folder, "", f"training.save_dir={tmp_path / 'run'}", *more)


def _evaluations(run):
  return read_record(str(run)).evaluations


def _steps(run):
  return [each.step for each in _evaluations(run)]


def _log_lines(run, event):
  lines = (Path(run) / "train.log").read_text().splitlines()
  return [line for line in lines if f" event={event} " in line]


def _checkpoints(run):
  return sorted(int(path.stem.split("-")[1]) for path in Path(run).glob("checkpoints/*.index"))


def test_training_ends_and_the_best_checkpoint_is_kept_measured_and_exported(whole, folder):
  losses = {each.step: each.value for each in _evaluations(whole)}
  best = min(losses, key=losses.get)
  assert list(losses) == list(range(EVERY, best + 2 * EVERY + 1, EVERY))
  assert best > EVERY and max(losses) < STEPS
  assert _checkpoints(whole) == [best, max(losses)]
  metrics = evaluate(_config(folder, "whole"))["validation"]
  assert np.mean([metrics[task]["log_loss"] for task in TASKS]) == losses[best]
  assert [path.name for path in (whole / "evaluation").glob("*.json")] == [f"step-{best}.json"]
  origin = json.loads((folder / "whole_export" / "1" / "assets.extra" / "origin.json").read_text())
  assert origin["checkpoint"].endswith(f"step-{best}")


def test_the_log_and_tensorboard_tell_of_each_evaluation(whole):
  found = _evaluations(whole)
  lines = _log_lines(whole, "early_stopping")
  assert [f" at={each.step} " in line for each, line in zip(found, lines)] == [True] * len(lines)
  assert f"log_loss on validation is {found[0].value:.6g}" in lines[0]
  assert "without_improvement=2" in lines[-1]
  assert f"ended training after step {found[-1].step} of {STEPS}" in lines[-1]
  scalars = {}
  for path in (whole / "tensorboard" / "early_stopping").iterdir():
    for event in tf.compat.v1.train.summary_iterator(str(path)):
      for value in event.summary.value:
        scalars[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
  assert set(scalars) == {
    (each.step, tag)
    for each in found
    for tag in ("log_loss", *(f"log_loss/{task}" for task in TASKS))
  }
  assert scalars[found[-1].step, "log_loss"] == pytest.approx(found[-1].value)


def test_measuring_changes_nothing_of_training(whole, folder):
  last = _steps(whole)[-1]
  train(
    _config(folder, "plain", "training.early_stopping=null", f"training.num_train_steps={last}")
  )
  one, other = (
    tf.train.load_checkpoint(str(run / "checkpoints" / f"step-{last}"))
    for run in (whole, folder / "plain")
  )
  names = [name for name in one.get_variable_to_shape_map() if name.startswith("weights/")]
  assert len(names) > 10
  for name in names:
    np.testing.assert_array_equal(one.get_tensor(name), other.get_tensor(name), err_msg=name)


class _Kill(BaseException):
  """What ends the process at some place."""


def _kill(*_):
  raise _Kill


def _end_by_sigterm(*_):
  os.kill(os.getpid(), signal.SIGTERM)


def _interrupted(config, export_dir, monkeypatch, place, step):
  """Runs until a step's checkpoint is measured, and ends at a place of that."""
  name, is_before, end = place
  owner = {"write_record": early_stopping, "_measure": PartitionReader}.get(
    name, early_stopping.EarlyStopping
  )
  original = getattr(owner, name)

  def ending(*arguments):
    is_there = max(_checkpoints(config.training.save_dir), default=0) == step
    if is_there and is_before:
      end()
    result = original(*arguments)
    if is_there and not is_before:
      end()
    return result

  with monkeypatch.context() as patch:
    patch.setattr(owner, name, ending)
    with pytest.raises((_Kill, Preempted)) as ended:
      train_evaluate_export(config, export_dir=export_dir)
  return ended.type


_BEFORE = ("measure", True, _kill)
_MEANWHILE = ("_measure", True, _kill)
_SIGTERM = ("_measure", True, _end_by_sigterm)
_RECORDED = ("write_record", False, _kill)
_HALF_TOLD = ("_write_scalars", False, _kill)
_TOLD = ("_tell", False, _kill)


def test_a_run_that_is_interrupted_anywhere_ends_as_one_that_is_not(whole, folder, monkeypatch):
  last = _steps(whole)[-1]
  places = [_SIGTERM, _BEFORE, _MEANWHILE, _RECORDED, _HALF_TOLD]
  steps = [EVERY * position for position in range(2, 2 + len(places))]
  config, export_dir = _config(folder, "interrupted"), str(folder / "interrupted_export")
  for place, step in [*zip(places, steps), (_RECORDED, last), (_TOLD, last)]:
    ended = _interrupted(config, export_dir, monkeypatch, place, step)
    assert ended is (Preempted if place is _SIGTERM else _Kill)
    measured = [*(each for each in _steps(whole) if each < step)]
    measured += [step] if place in (_RECORDED, _HALF_TOLD, _TOLD) else []
    assert _steps(folder / "interrupted") == measured
  train_evaluate_export(config, export_dir=export_dir)
  exports = (str(folder / "whole_export"), export_dir)
  assert differences(str(whole), str(folder / "interrupted"), exports) == []
  assert _values(folder / "interrupted") == _values(whole)


def _values(run):
  return [(each.step, each.value, each.values, each.is_extra) for each in _evaluations(run)]


def test_a_run_that_is_killed_ends_as_one_that_is_not(whole, folder):
  flags = [f"--config_path={folder / 'small.yaml'}"]
  for override in _overrides(folder, "killed"):
    flags += ["--set", override]
  run = KilledRun(
    flags, str(folder / "killed"), str(folder / "killed_export"), STEPS, random.Random(3)
  )
  for _ in range(3):
    run.kill_in(CHECKPOINT)
  printed = run.finish()
  assert "2 evaluations in a row were no improvement" in printed
  assert "--set training.early_stopping.patience=4" in printed
  exports = (str(folder / "whole_export"), str(folder / "killed_export"))
  assert differences(str(whole), str(folder / "killed"), exports) == [], run.killed
  assert _values(folder / "killed") == _values(whole)


def test_a_run_that_ended_has_nothing_left_unless_patience_is_raised(whole, copy, capsys):
  last = _steps(whole)[-1]
  assert train(copy("training.num_train_steps=1000")) == []
  assert f"ended training after step {last} of 1000" in capsys.readouterr().out
  config = copy("training.early_stopping.patience=3", f"training.num_train_steps={last + EVERY}")
  assert [entry["step"] for entry in train(config)] == list(range(last + 1, last + EVERY + 1))
  assert _steps(config.training.save_dir) == [*_steps(whole), last + EVERY]


def test_fresh_forgets_what_was_measured(copy):
  config = copy(f"training.num_train_steps={EVERY}")
  train(config, fresh=True)
  assert _steps(config.training.save_dir) == [EVERY]


def test_a_last_step_between_checkpoints_counts_only_as_long_as_it_is_the_last(folder, tmp_path):
  def config(steps):
    return _config(folder, "", f"training.save_dir={tmp_path}", f"training.num_train_steps={steps}")

  train(config(EVERY + 3))
  assert _steps(tmp_path) == [EVERY, EVERY + 3]
  train(config(2 * EVERY))
  assert _steps(tmp_path) == [EVERY, 2 * EVERY]


def test_what_is_measured_may_change_and_then_counts_anew(whole, copy, capsys):
  changed = copy("training.early_stopping.metric=auroc", "training.num_train_steps=1000")
  with pytest.raises(CheckpointError, match="chosen by log_loss on validation, not by"):
    chosen_checkpoint(changed)
  last = _steps(whole)[-1]
  stop = changed.model_copy(
    update={"training": changed.training.model_copy(update={"num_train_steps": last})}
  )
  train(stop)
  assert "it counts anew from the present checkpoint" in capsys.readouterr().err
  assert _steps(stop.training.save_dir) == [last]
  assert chosen_checkpoint(changed).endswith(f"step-{last}")


def test_a_best_checkpoint_that_is_lost_is_told_of(whole, copy, capsys):
  config = copy()
  run, last = Path(config.training.save_dir), _steps(whole)[-1]
  best = Path(chosen_checkpoint(config))
  content = best.with_suffix(".index").read_bytes()
  best.with_suffix(".index").write_bytes(content[:-1] + b"?")
  with pytest.raises(CheckpointError, match=f"{best}: the best .* another one than was measured"):
    chosen_checkpoint(config)
  best.with_suffix(".index").unlink()
  with pytest.raises(CheckpointError, match="it is not there"):
    evaluate(config)
  assert chosen_checkpoint(config, str(run / "checkpoints" / f"step-{last}"))
  train(copy(f"training.num_train_steps={last + EVERY}"))
  assert "cannot be used: it is not there" in capsys.readouterr().err
  assert _steps(run) == [last, last + EVERY]


def test_following_ends_where_training_has(copy):
  assert follow(copy(), again=True).startswith("training is done: 2 checkpoint(s) measured")


def test_a_damaged_record_is_named(copy):
  config = copy()
  Path(record_path(config.training.save_dir)).write_text("{")
  for use in (chosen_checkpoint, train):
    with pytest.raises(CheckpointError, match="early_stopping.json: cannot be used: it is not as"):
      use(config)


def test_the_stages_of_a_search_measure_the_best_checkpoint(whole, folder, tmp_path):
  objective = Objective(partition="validation", metric="log_loss")
  config = _config(folder, "", f"training.save_dir={tmp_path}")
  losses = {each.step: each.value for each in _evaluations(whole)}
  rungs, reports = [2 * EVERY + 3, max(losses) + 1], []
  value = run_stages(config, objective, rungs, lambda *report: reports.append(report) or True)
  assert value == reports[1][1] == min(losses.values())
  assert [step for step, _ in reports] == rungs
  assert reports[0][1] <= losses[2 * EVERY]
  assert _values(tmp_path) == _values(whole)
  again = []
  assert run_stages(config, objective, rungs, lambda *report: again.append(report) or True) == value
  assert again == reports


def test_a_metric_that_is_not_defined_is_an_error(folder, tmp_path):
  write_records(tmp_path / "few", num_examples=2, num_shards=2)
  overrides = (
    f"training.save_dir={tmp_path / 'run'}",
    f"validation_data.validation.inputs={tmp_path / 'few' / '*.gz'}",
    "training.early_stopping.metric=auroc",
    "training.num_train_steps=1",
  )
  for _ in range(2):
    with pytest.raises(DataError, match=r"early_stopping.metric: auroc of .* no example is"):
      train(_config(folder, "", *overrides))
  assert _checkpoints(tmp_path / "run") == [1]


@pytest.mark.parametrize(
  "override, error, message",
  [
    ("validation_data.validation.inputs=/nowhere/*.gz", DataError, "validation_data.validation"),
    ("training.early_stopping.metric=grouped_auc", ConfigError, "reads no feature 'meta__user_id'"),
    ("training.early_stopping.metric=ndcg@10", ConfigError, "reads no feature 'meta__user_id'"),
  ],
)
def test_a_partition_that_cannot_be_measured_shows_before_anything_is_made(
  folder, tmp_path, override, error, message
):
  with pytest.raises(error, match=message):
    train(_config(folder, "", f"training.save_dir={tmp_path / 'run'}", override), fresh=True)
  assert not (tmp_path / "run" / "train.log").exists()

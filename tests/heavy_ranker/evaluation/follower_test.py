"""Tests of `heavy_ranker.evaluation.follower`."""

import pathlib
import shutil
import threading

import pytest

from heavy_ranker import train
from heavy_ranker.evaluation import follower
from heavy_ranker.evaluation.evaluator import Evaluator
from heavy_ranker.evaluation.follower import follow
from tests.heavy_ranker.small_run import small_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import NothingNewError


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
  leave_report_out(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run with the checkpoints of steps 4 and 6, the last."""
  path = tmp_path_factory.mktemp("follow")
  train(small_config(path))
  return path


@pytest.fixture
def run(trained, tmp_path):
  """A copy of it, and its configuration."""
  shutil.copytree(trained / "run", tmp_path / "run")
  overrides = ("training.num_eval_steps=1", "evaluation.bootstrap_samples=0")
  return tmp_path / "run", small_config(
    trained, f"training.save_dir={tmp_path / 'run'}", "training.eval_timeout_in_s=0.2", *overrides
  )


@pytest.fixture
def measured(monkeypatch):
  """The steps measured, in order; what happens then is `measured.before`."""

  class Steps(list):
    before = staticmethod(lambda path: None)

  steps, original = Steps(), Evaluator.run

  def record(self, path):
    steps.before(path)
    result = original(self, path)
    steps.append(result["step"])
    return result

  monkeypatch.setattr(follower.Evaluator, "run", record)
  return steps


def remove(folder: pathlib.Path, step: int):
  for path in (folder / "checkpoints").glob(f"step-{step}.*"):
    path.unlink()


def test_the_oldest_comes_first_and_the_last_ends_it(run, measured, capsys):
  _, config = run
  assert follow(config) == "training is done: 2 checkpoint(s) measured"
  assert measured == [4, 6]
  assert "step 4 (" in capsys.readouterr().out
  assert follow(config) == "training is done: 0 checkpoint(s) measured"
  assert follow(config, again=True) == "training is done: 2 checkpoint(s) measured"
  assert measured == [4, 6, 4, 6]


def test_a_checkpoint_deleted_before_its_turn_is_left_out(run, measured, capsys):
  folder, config = run
  measured.before = lambda path: path.endswith("-4") and remove(folder, 4)
  assert follow(config).endswith("1 checkpoint(s) measured, 1 deleted before their turn")
  assert measured == [6]
  assert "step 4: training deleted the checkpoint" in capsys.readouterr().out


def test_a_checkpoint_that_does_not_come_ends_it_with_another_exit_code(run, measured):
  folder, config = run
  remove(folder, 6)
  with pytest.raises(NothingNewError, match=r"no new checkpoint for 0\.2 s .*step 6 ") as error:
    follow(config, seconds_between_looks=0.05)
  assert error.value.exit_code == 7
  assert measured == [4]


def test_a_half_written_checkpoint_is_waited_for(run, measured):
  folder, config = run
  index = folder / "checkpoints" / "step-6.index"
  content = index.read_bytes()
  index.write_bytes(content[: len(content) // 2])

  def finish(path):
    assert path.endswith("-4")
    threading.Timer(0.1, index.write_bytes, [content]).start()
    measured.before = lambda path: None

  measured.before = finish
  config = config.model_copy(
    update={"training": config.training.model_copy(update={"eval_timeout_in_s": 60.0})}
  )
  assert follow(config, seconds_between_looks=0.05).startswith("training is done")
  assert measured == [4, 6]


def test_before_the_first_checkpoint_it_waits(run, measured, capsys):
  folder, config = run
  shutil.rmtree(folder)
  with pytest.raises(NothingNewError, match="0 checkpoint"):
    follow(config, seconds_between_looks=0.05)
  assert capsys.readouterr().out.count("waiting for a checkpoint in") == 1


def test_a_damaged_checkpoint_is_left_out_and_named_once(run, measured, capsys):
  folder, config = run
  for path in (folder / "checkpoints").glob("step-4.data*"):
    path.write_bytes(b"")
  assert follow(config).endswith("1 checkpoint(s) measured, 1 left out as damaged")
  assert measured == [6]
  assert capsys.readouterr().err.count("step-4: damaged: step-4.data-00000-of-00001 has 0") == 1


def test_a_damaged_last_checkpoint_is_waited_for(run, measured):
  folder, config = run
  (folder / "checkpoints" / "step-6.index").write_bytes(b"")
  with pytest.raises(NothingNewError, match="1 left out as damaged"):
    follow(config, seconds_between_looks=0.05)
  assert measured == [4]

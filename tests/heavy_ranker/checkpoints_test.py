"""Tests of `heavy_ranker.checkpoints` that need no training run."""

import pytest
import tensorflow as tf

from heavy_ranker.checkpoint_manifest import write_manifest
from heavy_ranker.checkpoints import (
  intact_checkpoint,
  latest_checkpoint,
  require_checkpoint,
  stored_shapes,
)
from tfrecords.errors import CheckpointError


@pytest.mark.parametrize("name", ["a/b", "area.Sales", "a.S/b..c", "..", "x./.S"])
def test_names_of_stored_weights_are_read_as_they_were_given(name, tmp_path):
  variable = tf.Variable([1.0, 2.0])
  path = tf.train.Checkpoint(weights={name: variable}).write(str(tmp_path / "checkpoint"))
  assert stored_shapes(path) == {name: (2,)}
  assert stored_shapes(path, "others") == {}


@pytest.fixture
def run(tmp_path):
  """A run's folder with the checkpoints of steps 2, 4 and 10; that of step 4 has no manifest."""
  folder = tmp_path / "checkpoints"
  folder.mkdir()
  for step in (2, 4, 10):
    path = str(folder / f"step-{step}")
    tf.train.Checkpoint(weights={"w": tf.Variable(float(step))}).write(path)
    if step != 4:
      write_manifest(path, path, f"{path}.manifest")
  return tmp_path


def _damage(run, step, suffix=".data-00000-of-00001"):
  path = run / "checkpoints" / f"step-{step}{suffix}"
  path.write_bytes(path.read_bytes()[:-1])


def test_the_newest_is_chosen_in_silence_when_it_is_whole(run, capsys):
  assert intact_checkpoint(str(run)) == latest_checkpoint(str(run))
  assert intact_checkpoint(str(run)).endswith("step-10")
  assert capsys.readouterr().err == ""
  assert intact_checkpoint(str(run / "nothing")) is None


def test_the_one_before_a_damaged_one_is_chosen_with_a_warning(run, capsys):
  _damage(run, 10)
  assert require_checkpoint(str(run)).endswith("step-4")
  told = capsys.readouterr().err
  assert "step-10: step-10.data-00000-of-00001 has " in told
  assert "step-4, the newest that is whole" in told
  _damage(run, 4)
  assert require_checkpoint(str(run)).endswith("step-2")
  assert "step-4: cannot be read: " in capsys.readouterr().err


def test_a_checkpoint_whose_index_is_gone_is_told_of(run, capsys):
  (run / "checkpoints" / "step-10.index").unlink()
  assert intact_checkpoint(str(run)).endswith("step-4")
  assert "step-10: step-10.index is missing" in capsys.readouterr().err


def test_nothing_but_damage_is_an_error_that_lists_it(run):
  for step in (2, 4, 10):
    _damage(run, step, ".index")
  with pytest.raises(CheckpointError, match="step-10: .*; .*step-4: .*; .*step-2: .*--fresh"):
    intact_checkpoint(str(run))


def test_a_damaged_checkpoint_that_was_asked_for_is_refused(run):
  path = str(run / "checkpoints" / "step-10")
  assert require_checkpoint(str(run), f"{path}.index") == path
  _damage(run, 10)
  with pytest.raises(CheckpointError, match="step-10: the checkpoint is damaged: step-10.data"):
    require_checkpoint(str(run), path)
  (run / "checkpoints" / "step-10.index").unlink()
  with pytest.raises(CheckpointError, match="damaged: step-10.index is missing|damaged: step-10"):
    require_checkpoint(str(run), path)
  with pytest.raises(CheckpointError, match="step-9: no checkpoint"):
    require_checkpoint(str(run), str(run / "checkpoints" / "step-9"))


def test_a_checkpoint_that_training_deletes_meanwhile_is_no_damage(run, monkeypatch, capsys):
  from heavy_ranker import checkpoints

  def deleted(path):
    for name in (run / "checkpoints").glob("step-10.*"):
      name.unlink()
    monkeypatch.undo()
    return "gone"

  monkeypatch.setattr(checkpoints, "damage", deleted)
  assert intact_checkpoint(str(run)).endswith("step-4")
  assert capsys.readouterr().err == ""

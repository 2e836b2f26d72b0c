"""A run that begins with another run's weights."""

import numpy as np
import pytest

from heavy_ranker import build_model, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights, weights_by_name
from heavy_ranker.training.warm_start import warm_start
from tests.heavy_ranker.small_run import TASKS, small_config
from tfrecords.errors import CheckpointError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """(folder, history) of a run."""
  path = tmp_path_factory.mktemp("warm_start")
  return path, train(small_config(path))


@pytest.fixture
def folder(trained):
  return trained[0]


def _values(ranker):
  return {name: weight.numpy() for name, weight in weights_by_name(ranker).items()}


def _earlier(folder):
  ranker = build_model(small_config(folder))
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  return _values(ranker)


@pytest.mark.parametrize("where", ["run", "run/checkpoints", "run/checkpoints/step-6"])
def test_the_same_model_takes_every_weight(folder, where):
  ranker = build_model(small_config(folder, "training.seed=9"))
  told = warm_start(ranker, str(folder / where))
  assert told.startswith("47 of 47 weights from ") and told.endswith("step-6")
  for name, value in _earlier(folder).items():
    np.testing.assert_array_equal(_values(ranker)[name], value, err_msg=name)


def test_a_larger_model_keeps_its_own_weights_where_nothing_fits(folder):
  override = f"model.tasks.{TASKS[1]}.mlp_config.layer_sizes=[9, 1]"
  ranker = build_model(small_config(folder, override))
  before, earlier = _values(ranker), _earlier(folder)
  told = warm_start(ranker, str(folder / "run"))
  tower = f"tower.{TASKS[1]}/body"
  assert f"initial weights for {tower}/dense_0/kernel" in told
  after = _values(ranker)
  np.testing.assert_array_equal(after[f"{tower}/dense_0/kernel"], before[f"{tower}/dense_0/kernel"])
  kernel = "backbone/mask_block_0/hidden/kernel"
  np.testing.assert_array_equal(after[kernel], earlier[kernel])
  assert not np.array_equal(after[kernel], before[kernel])


def test_training_starts_at_step_0_with_the_weights_and_says_so(trained, capsys):
  folder, cold = trained
  initial = f"training.initial_checkpoint_dir={folder / 'run'}"
  save_dir = f"training.save_dir={folder / 'second'}"
  warm = train(small_config(folder, initial, save_dir))
  assert [entry["step"] for entry in warm] == [1, 2, 3, 4, 5, 6]
  assert "warm start: 47 of 47 weights from" in capsys.readouterr().out
  assert warm[0]["loss"] != cold[0]["loss"]
  again = train(small_config(folder, initial, save_dir, "training.num_train_steps=7"))
  assert [entry["step"] for entry in again] == [7], "a resumed run keeps its own weights"
  assert "warm start" not in capsys.readouterr().out


def test_nothing_that_fits_is_an_error(folder, tmp_path):
  (tmp_path / "empty").mkdir()
  ranker = build_model(small_config(folder))
  with pytest.raises(CheckpointError, match="initial_checkpoint_dir: no checkpoint found in"):
    warm_start(ranker, str(tmp_path / "empty"))

"""A whole training run on two replicas equals the run on one with the same global batch."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.checkpoints import latest_checkpoint
from heavy_ranker.training import trainer
from tests.heavy_ranker import id_run
from tests.heavy_ranker.small_run import TASKS, small_config
from tests.heavy_ranker.training import two_devices
from tfrecords.errors import ConfigError

BAZEL_SIZE = "large"
# Replicas draw dropout masks of their own.
_NO_DROPOUT = f"model.tasks.{TASKS[2]}.mlp_config.dropout=null"
# Adam turns the noise of gradients that are truly 0 into steps of a whole learning rate; a larger
# epsilon lets such weights rest, so that every weight can be compared.
_EPSILON = "optimizer.adam.epsilon=1.0e-3"


@pytest.fixture(scope="module", autouse=True)
def two_logical_devices():
  two_devices.set_up()


def _run(monkeypatch, tmp_path, devices, *overrides):
  save_dir = tmp_path / f"on_{len(devices)}"
  config = small_config(tmp_path, f"training.save_dir={save_dir}", _NO_DROPOUT, *overrides)
  return _run_config(monkeypatch, config, devices)


def _run_config(monkeypatch, config, devices):
  monkeypatch.setattr(trainer, "make_strategy", lambda: two_devices.strategy(*devices))
  history = trainer.train(config)
  checkpoint = latest_checkpoint(config.training.save_dir)
  weights = {
    name: tf.train.load_variable(checkpoint, name)
    for name, _ in tf.train.list_variables(checkpoint)
    if name.startswith("weights/")
  }
  return [entry["loss"] for entry in history], weights


@pytest.fixture(scope="module", name="two")
def two_fixture(tmp_path_factory):
  """(folder, losses, weights) of a run on two replicas."""
  folder = tmp_path_factory.mktemp("two")
  with pytest.MonkeyPatch.context() as monkeypatch:
    return folder, *_run(monkeypatch, folder, ["CPU:0", "CPU:1"], _EPSILON)


def test_two_replicas_equal_one(monkeypatch, tmp_path, two):
  one = _run(monkeypatch, tmp_path, ["CPU:0"], _EPSILON)
  two = two[1:]
  np.testing.assert_allclose(two[0], one[0], rtol=0, atol=1e-5)
  assert one[1].keys() == two[1].keys()
  for name, weight in one[1].items():
    np.testing.assert_allclose(two[1][name], weight, rtol=1e-5, atol=1e-5, err_msg=name)


def test_two_replicas_equal_one_with_micro_batches(monkeypatch, tmp_path):
  overrides = [_EPSILON, "training.gradient_accumulation=3"]
  one = _run(monkeypatch, tmp_path, ["CPU:0"], *overrides)
  two = _run(monkeypatch, tmp_path, ["CPU:0", "CPU:1"], *overrides)
  np.testing.assert_allclose(two[0], one[0], rtol=0, atol=1e-5)
  assert one[1].keys() == two[1].keys()
  for name, weight in one[1].items():
    np.testing.assert_allclose(two[1][name], weight, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_two_replicas_train_like_one_in_fewer_bits(dtype, monkeypatch, tmp_path):
  overrides = ["optimizer.adam.epsilon=1.0e-3", f"training.mixed_precision={dtype}"]
  one = _run(monkeypatch, tmp_path, ["CPU:0"], *overrides)
  two = _run(monkeypatch, tmp_path, ["CPU:0", "CPU:1"], *overrides)
  # A rounding of bfloat16 is 1/256; sums over half of the rows are rounded otherwise.
  np.testing.assert_allclose(two[0], one[0], rtol=0.02)
  assert one[1].keys() == two[1].keys()
  assert all(weight.dtype == np.float32 for weight in two[1].values() if weight.dtype.kind == "f")


@pytest.mark.parametrize("algorithm", ["sgd", "adagrad"])
def test_two_replicas_equal_one_with_tables(algorithm, monkeypatch, tmp_path):
  runs = []
  for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    config = id_run.id_config(
      tmp_path,
      ("training", "save_dir", str(tmp_path / f"on_{len(devices)}")),
      ("model", "tasks", TASKS[2], "mlp_config", "dropout", None),
      ("model", "position_debias_config", "drop_probability", 0.0),
      ("model", "large_embeddings", "optimizer", "algorithm", algorithm),
      ("optimizer", "adam", "epsilon", 1e-3),
    )
    runs.append(_run_config(monkeypatch, config, devices))
  (losses, weights), two = runs
  np.testing.assert_allclose(two[0], losses, rtol=0, atol=1e-5)
  assert two[1].keys() == weights.keys()
  for name, weight in weights.items():
    np.testing.assert_allclose(two[1][name], weight, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_checkpoint_of_two_replicas_continues_on_one(monkeypatch, tmp_path, two):
  folder, losses, _ = two
  shutil.copytree(folder / "on_2", tmp_path / "on_2")
  monkeypatch.setattr(trainer, "make_strategy", lambda: two_devices.strategy("CPU:0"))
  overrides = [f"training.save_dir={tmp_path / 'on_2'}", "training.num_train_steps=8"]
  history = trainer.train(small_config(folder, *overrides, _NO_DROPOUT, _EPSILON))
  assert [entry["step"] for entry in history] == [7, 8]
  assert abs(history[0]["loss"] - losses[-1]) < 0.5


def test_a_batch_the_replicas_cannot_share_is_refused(monkeypatch, tmp_path):
  with pytest.raises(ConfigError, match="global_batch_size: found 15, allowed: a multiple of 2"):
    _run(monkeypatch, tmp_path, ["CPU:0", "CPU:1"], "train_data.global_batch_size=15")

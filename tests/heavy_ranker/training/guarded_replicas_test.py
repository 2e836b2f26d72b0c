"""Two replicas decide alike whether a batch can be used; sparse gradients and clipping included."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.checkpoints import latest_checkpoint
from heavy_ranker.training import trainer
from heavy_ranker.training.multi_task_ranker import MultiTaskRanker
from tests.heavy_ranker import id_run
from tests.heavy_ranker.training import two_devices

BAZEL_SIZE = "large"


@pytest.fixture(scope="module", autouse=True)
def two_logical_devices():
  two_devices.set_up()


def _config(folder, devices, micro_batches):
  return id_run.id_config(
    folder,
    ("training", "save_dir", str(folder / f"on_{len(devices)}")),
    ("training", "num_train_steps", 9),
    ("training", "max_skipped_batches", 5),
    ("training", "log_gradient_norms", True),
    ("training", "gradient_accumulation", micro_batches),
    ("model", "tasks", id_run.small_run.TASKS[2], "mlp_config", "dropout", None),
    ("model", "position_debias_config", "drop_probability", 0.0),
    ("optimizer", "adam", "epsilon", 1e-3),
    ("optimizer", "gradient_clipping", {"by_value": 0.3, "by_global_norm": 0.7}),
  )


def _poison(folder, monkeypatch):
  """Makes everything NaN on a replica whose part of a batch holds one certain record."""
  (record,) = tf.data.TFRecordDataset(str(folder / "data" / "part-1.gz"), "GZIP").take(1)
  example = tf.train.Example.FromString(record.numpy())
  marked = example.features.feature["record.continuous"].float_list.value[0]
  whole = MultiTaskRanker.losses_and_gradients

  def losses_and_gradients(self, inputs):
    losses, gradients = whole(self, inputs)
    factor = tf.where(tf.reduce_any(inputs[0]["continuous"][:, 0] == marked), np.nan, 1.0)
    return losses, [gradient if gradient is None else gradient * factor for gradient in gradients]

  monkeypatch.setattr(MultiTaskRanker, "losses_and_gradients", losses_and_gradients)


@pytest.mark.parametrize("micro_batches", [None, 2])
def test_two_replicas_skip_what_one_skips(tmp_path, monkeypatch, capsys, micro_batches):
  _config(tmp_path, ["CPU:0"], micro_batches)
  _poison(tmp_path, monkeypatch)
  runs = []
  for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    config = _config(tmp_path, devices, micro_batches)
    strategy = two_devices.strategy(*devices)
    monkeypatch.setattr(trainer, "make_strategy", lambda chosen=strategy: chosen)
    history = trainer.train(config)
    checkpoint = latest_checkpoint(config.training.save_dir)
    names = [name for name, _ in tf.train.list_variables(checkpoint) if name[:8] == "weights/"]
    runs.append((history, {name: tf.train.load_variable(checkpoint, name) for name in names}))
    assert "not_finite: step" in capsys.readouterr().out
  (history, weights), (history_of_two, weights_of_two) = runs
  for one, two in zip(history, history_of_two):
    speed = {"examples_per_second": 0}
    assert {**two, **speed} == pytest.approx({**one, **speed}, abs=1e-4)
    assert one["gradient_norm/large_embeddings"] > 0
  assert weights.keys() == weights_of_two.keys()
  for name, weight in weights.items():
    np.testing.assert_allclose(weights_of_two[name], weight, rtol=1e-5, atol=1e-5, err_msg=name)

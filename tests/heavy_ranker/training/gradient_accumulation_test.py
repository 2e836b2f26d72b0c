"""Several micro-batches make one update, the one a large batch would have made."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, train
from heavy_ranker.checkpoints import latest_checkpoint
from heavy_ranker.training import trainer
from heavy_ranker.training.gradient_accumulation import GradientAccumulation
from heavy_ranker.training.gradient_norms import GradientNorms
from heavy_ranker.training.guarded_updates import GuardedUpdates
from heavy_ranker.training.multi_task_ranker import MultiTaskRanker
from heavy_ranker.training.optimizer import make_optimizer, variable_groups
from heavy_ranker.training.run_log import log_path
from tests.heavy_ranker import example_config, layer_helpers
from tests.heavy_ranker.small_run import TASKS, small_config
from tfrecords.errors import TrainingError

BAZEL_SIZE = "large"
# Batch norm sees a micro-batch at a time, and dropout draws a mask for each. Adam makes whole
# steps of the noise in gradients that are truly 0, unless its epsilon is large.
COMPARABLE = (
  "model.featurization_config.double_norm_log_config.batch_norm_config=null",
  *(f"model.tasks.{task}.mlp_config.batch_norm=null" for task in TASKS),
  f"model.tasks.{TASKS[2]}.mlp_config.dropout=null",
  "optimizer.adam.epsilon=1.0e-3",
)
EXAMPLE_TASKS = example_config.TASKS
MICRO_BATCH = 4


def stored(save_dir, *prefixes):
  """The numbers of the newest checkpoint whose names begin so."""
  checkpoint = latest_checkpoint(str(save_dir))
  return {
    name: tf.train.load_variable(checkpoint, name)
    for name, _ in tf.train.list_variables(checkpoint)
    if name.startswith(prefixes) and "GRAPH" not in name
  }


def without_speed(history):
  return [{k: v for k, v in entry.items() if k != "examples_per_second"} for entry in history]


def run(folder, name, *overrides):
  """Trains, and returns (history, weights and optimizer of the last checkpoint)."""
  save_dir = folder / name
  history = train(small_config(folder, f"training.save_dir={save_dir}", *overrides))
  return without_speed(history), stored(save_dir, "weights/", "optimizer/", "step/")


def test_equals_one_large_batch_over_several_updates(tmp_path):
  large, expected = run(tmp_path, "large", *COMPARABLE, "train_data.global_batch_size=48")
  small, found = run(tmp_path, "small", *COMPARABLE, "training.gradient_accumulation=3")
  assert [entry["step"] for entry in small] == [1, 2, 3, 4, 5, 6]
  for one, other in zip(small, large):
    assert one == pytest.approx(other, rel=1e-5, abs=1e-5)
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5, err_msg=name)


def test_one_micro_batch_is_the_same_as_none(tmp_path):
  history, expected = run(tmp_path, "without")
  again, found = run(tmp_path, "with_one", "training.gradient_accumulation=1")
  assert again == history
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_stopped_run_resumes_to_the_bit_and_all_micro_batches_count(tmp_path, monkeypatch):
  counted = []

  class RunLog(trainer.RunLog):
    def step(self, step, examples_per_step, losses, learning_rates, *others):
      counted.append((step, examples_per_step, learning_rates["backbone"]))
      return super().step(step, examples_per_step, losses, learning_rates, *others)

  accumulated = ["training.gradient_accumulation=2", "training.checkpoint_every_n=2"]
  with monkeypatch.context() as context:
    context.setattr(trainer, "RunLog", RunLog)
    whole, expected = run(tmp_path, "whole", *accumulated)
  parts = []
  for steps in (3, 6):
    history, found = run(tmp_path, "parts", *accumulated, f"training.num_train_steps={steps}")
    parts += history
  assert parts == whole
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)
  # A ramp of 3 updates: its second micro-batch is no step of it.
  rates = [0.0, 0.01 / 3, 0.02 / 3, 0.01, 0.01, 0.01]
  assert [entry[:2] for entry in counted] == [(step, 32) for step in range(1, 7)]
  np.testing.assert_allclose([entry[2] for entry in counted], rates, rtol=1e-6)
  log = Path(log_path(str(tmp_path / "whole"))).read_text()
  assert "32 examples a step in 2 micro-batches" in log


def test_data_that_ends_in_the_middle_of_an_update_is_told(tmp_path):
  # 120 records are 7 batches: 2 updates of 3.
  overrides = ["train_data.repeat_files=false", "training.gradient_accumulation=3"]
  with pytest.raises(TrainingError, match="the data ended after 2 steps, allowed: enough for 6"):
    run(tmp_path, "run", *overrides)


def test_a_loss_that_is_not_finite_in_any_micro_batch_stops(tmp_path, monkeypatch):
  whole = MultiTaskRanker.losses_and_gradients

  def broken(self, inputs):
    losses, gradients = whole(self, inputs)
    scale = np.nan if len(traced) == 0 else 1.0  # Only in `accumulate`, which is traced first.
    traced.append(scale)
    return {name: loss * scale for name, loss in losses.items()}, gradients

  traced = []
  monkeypatch.setattr(MultiTaskRanker, "losses_and_gradients", broken)
  with pytest.raises(TrainingError, match="step 1: the loss is not finite"):
    run(tmp_path, "run", "training.gradient_accumulation=2")
  assert latest_checkpoint(str(tmp_path / "run")) is None


# One accumulation, looked at from near.


def make(n_micro_batches):
  config = example_config.build_config(
    [("optimizer", {"single_task_learning_rate": {"constant": 0.01}})]
  )
  ranker = build_model(config, example_config.WIDTHS)
  for index, layer in enumerate(ranker.layers):
    layer_helpers.randomize(layer, seed=index)
  model = MultiTaskRanker(config, ranker, n_micro_batches * MICRO_BATCH)
  model.compile(make_optimizer(config.optimizer, ranker, list(EXAMPLE_TASKS)))
  return model


def updates_of(model):
  """Updates as training makes them, of several micro-batches."""
  accumulation = GradientAccumulation(model, len(EXAMPLE_TASKS))
  groups = variable_groups(model.ranker, list(EXAMPLE_TASKS))
  norms, strategy = GradientNorms(model.trained, groups), tf.distribute.get_strategy()
  return GuardedUpdates(strategy, model, norms, lambda batch: batch, accumulation)


def micro_batches(count):
  random = np.random.default_rng(0)
  for _ in range(count):
    features = {
      name: random.normal(size=(MICRO_BATCH, width)).astype("f")
      for name, width in example_config.WIDTHS.items()
    }
    labels = {task: random.integers(0, 2, MICRO_BATCH).astype("f") for task in EXAMPLE_TASKS}
    weights = {task: random.uniform(0.5, 9, MICRO_BATCH).astype("f") for task in EXAMPLE_TASKS}
    yield tf.nest.map_structure(tf.constant, (features, labels, weights))


def test_the_update_is_made_of_the_mean_gradient_and_starts_over(monkeypatch):
  model, twin = make(3), make(1)  # The twin's losses are means over a micro-batch.
  updates, applied = updates_of(model), []
  monkeypatch.setattr(model, "apply_gradients", applied.append)
  batches = list(micro_batches(6))
  for start in (0, 3):
    expected = [twin.losses_and_gradients(batch) for batch in batches[start : start + 3]]
    for batch in batches[start : start + 2]:
      assert updates.accumulate(batch)["is_finite"]
    losses = updates.update(batches[start + 2])
    for name in ("loss", "task_losses"):
      mean = np.mean([found[name] for found, _ in expected], axis=0)
      np.testing.assert_allclose(losses[name], mean, rtol=1e-5)
    gradients = zip(*(found for _, found in expected))
    for found, parts in zip(applied[-1], gradients):
      np.testing.assert_allclose(found, np.mean(parts, axis=0), rtol=1e-4, atol=1e-6)
  assert len(applied) == 2


def test_only_the_last_micro_batch_updates_and_batch_norm_moves_with_each():
  model = make(2)
  updates = updates_of(model)
  first, second = micro_batches(2)
  trainable = model.ranker.trainable_variables
  before = [variable.numpy() for variable in trainable]
  means = [model.ranker.get_layer("featurization").batch_norm.moving_mean.numpy()]
  updates.accumulate(first)
  means.append(model.ranker.get_layer("featurization").batch_norm.moving_mean.numpy())
  for variable, value in zip(trainable, before):
    np.testing.assert_array_equal(variable, value)
  assert {int(part.iterations) for part in model.optimizer.optimizers} == {0}
  updates.update(second)
  means.append(model.ranker.get_layer("featurization").batch_norm.moving_mean.numpy())
  assert {int(part.iterations) for part in model.optimizer.optimizers} == {1}
  assert any((variable.numpy() != value).any() for variable, value in zip(trainable, before))
  assert (means[0] != means[1]).any()
  assert (means[1] != means[2]).any()


class _Table:
  """A stand-in for the model: rows of one embedding table, and a weight of no use."""

  def __init__(self):
    self.table, unused = tf.Variable(tf.ones([5, 2])), tf.Variable(1.0)
    self.trained = [self.table, unused]

  def losses_and_gradients(self, rows):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(tf.gather(self.table, rows))
    losses = {"loss": loss, "task_losses": loss[tf.newaxis]}
    return losses, tape.gradient(loss, self.trained)


def test_sparse_gradients_are_added_up_and_stay_sparse():
  model = _Table()
  accumulation = GradientAccumulation(model, num_tasks=1)
  for rows in ([1, 1], [4]):
    accumulation.add(*model.losses_and_gradients(tf.constant(rows)))
  losses, (table, unused) = accumulation.totals(*model.losses_and_gradients(tf.constant([1, 3])))
  assert losses["loss"] == 10.0
  assert unused is None
  assert isinstance(table, tf.IndexedSlices)
  assert table.indices.numpy().tolist() == [1, 3, 4]
  assert table.values.numpy().tolist() == [[3, 3], [1, 1], [1, 1]]
  assert table.dense_shape.numpy().tolist() == [5, 2]

"""Tests of `heavy_ranker.training.multi_task_ranker`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model
from heavy_ranker.layers.tower import tower_name
from heavy_ranker.training.multi_task_ranker import MultiTaskRanker
from heavy_ranker.training.optimizer import make_optimizer
from tests.heavy_ranker import example_config, layer_helpers, numpy_twins

TASKS = example_config.TASKS
POS_WEIGHTS = (2.0, 1.0, 1.0, 1.0)
BATCH = 8


def make(*changes, batch_size=BATCH):
  config = example_config.build_config(changes)
  ranker = build_model(config, example_config.WIDTHS)
  for index, layer in enumerate(ranker.layers):
    layer_helpers.randomize(layer, seed=index)
  model = MultiTaskRanker(config, ranker, batch_size)
  log_variances = model.reduction.log_variances
  model.compile(make_optimizer(config.optimizer, ranker, list(TASKS), log_variances))
  return model


@pytest.fixture(name="batch")
def batch_fixture():
  random = np.random.default_rng(0)
  features = {
    name: random.normal(size=(BATCH, width)).astype("f")
    for name, width in example_config.WIDTHS.items()
  }
  # In another order than the model's, as a configuration may list them.
  names = sorted(TASKS)
  labels = {name: random.integers(0, 2, BATCH).astype("f") for name in names}
  weights = {name: random.uniform(0.5, 9, BATCH).astype("f") for name in reversed(names)}
  return tf.nest.map_structure(tf.constant, (features, labels, weights))


def expected_losses(model, batch, batch_size=BATCH):
  features, labels, weights = batch
  logits = model(features)["logits"].numpy()
  return [
    numpy_twins.weighted_cross_entropy(logits[:, index], labels[task], POS_WEIGHTS[index])
    @ weights[task].numpy()
    / batch_size
    for index, task in enumerate(TASKS)
  ]


def test_losses_equal_numpy_with_labels_and_weights_paired_by_name(batch):
  model = make()
  losses = model.task_losses(batch)
  assert losses.shape == (4,)
  expected = expected_losses(model, batch)
  np.testing.assert_allclose(losses, expected, rtol=1e-5)
  np.testing.assert_allclose(model.compute_loss(batch), np.mean(expected), rtol=1e-5)


def test_a_label_changes_its_own_tasks_loss_only(batch):
  model = make()
  features, labels, weights = batch
  before = model.task_losses(batch).numpy()
  for index, task in enumerate(TASKS):
    changed = {**labels, task: 1 - labels[task]}
    after = model.task_losses((features, changed, weights)).numpy()
    assert (after != before).tolist() == [position == index for position in range(4)]


def test_labels_of_other_tasks_are_not_looked_at(batch):
  model = make()
  features, labels, weights = batch
  more = {**labels, "a.first": tf.fill([BATCH], np.nan)}
  np.testing.assert_array_equal(
    model.task_losses((features, more, weights)), model.task_losses(batch)
  )


def test_parts_of_a_batch_add_up_to_the_whole(batch):
  model = make()
  parts = [
    tf.nest.map_structure(lambda x, rows=rows: x[rows], batch) for rows in (slice(3), slice(3, 8))
  ]
  total = sum(model.task_losses(part).numpy() for part in parts)
  np.testing.assert_allclose(total, model.task_losses(batch), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "uncertainty"])
def test_the_total_equals_numpy_and_parts_add_up_to_it(batch, reduction):
  weights = (2.0, 0.5, 0.0, 1.0)
  changes = [("model", "tasks", t, "loss_weight", w) for t, w in zip(TASKS, weights)]
  model = make(*changes, ("model", "task_loss_reduction", reduction))
  log_variances = np.array([0.3, -1.0, 2.0, 0.0])
  for variable, value in zip(model.reduction.log_variances.values(), log_variances):
    variable.assign(value)
  losses = expected_losses(model, batch)
  np.testing.assert_allclose(model.task_losses(batch), losses, rtol=1e-5)
  expected = numpy_twins.total_loss(losses, weights, reduction, log_variances)
  np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-5)
  parts = [
    tf.nest.map_structure(lambda x, rows=rows: x[rows], batch) for rows in (slice(3), slice(3, 8))
  ]
  total = sum(model.compute_loss(part).numpy() for part in parts)
  np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_a_task_of_weight_0_is_measured_and_not_trained(batch):
  model = make(("model", "tasks", "likes", "loss_weight", 0.0))
  tower = model.ranker.get_layer(tower_name("likes"))
  before = [variable.numpy() for variable in tower.trainable_variables]
  losses = [model.train_step(batch)["task_losses"][0].numpy() for _ in range(3)]
  assert min(losses) > 0
  for variable, value in zip(tower.trainable_variables, before):
    np.testing.assert_array_equal(variable, value)


def test_learned_scales_are_trained_at_their_towers_rate(batch):
  model = make(("model", "task_loss_reduction", "uncertainty"))
  outputs = model.train_step(batch)
  expected = outputs["task_losses"].numpy().sum()
  np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-5)
  moved = {task: abs(v.numpy()) for task, v in model.reduction.log_variances.items()}
  # Adam's first step is the rate; the ramp's and the last task's are 0.
  rates = {"likes": 0.005, "area.replies": 0.0, "area.reports": 0.001, "area.replies_long": 0.0}
  assert moved == pytest.approx(rates, rel=1e-3)


def test_call_gives_the_rankers_outputs(batch):
  model = make()
  outputs, expected = model(batch[0]), model.ranker(batch[0])
  assert outputs.keys() == expected.keys()
  for name, values in outputs.items():
    np.testing.assert_array_equal(values, expected[name])


def test_train_step_makes_one_update_and_returns_the_losses_before_it(batch):
  model = make()
  # Dropout and batch norm make the training loss another than the inference loss.
  twin = make()
  expected = twin.task_losses(batch, training=True).numpy()
  before = [variable.numpy() for variable in model.ranker.trainable_variables]
  outputs = model.train_step(batch)
  np.testing.assert_allclose(outputs["task_losses"], expected, rtol=1e-5)
  np.testing.assert_allclose(outputs["loss"], expected.mean(), rtol=1e-5)
  for optimizer in model.optimizer.optimizers:
    assert optimizer.iterations.numpy() == 1
  changed = [
    (variable.numpy() != value).any()
    for variable, value in zip(model.ranker.trainable_variables, before)
  ]
  assert any(changed)
  assert not all(changed)  # One tower's rate is 0 for good, another's in step 0.


def test_float16_is_left_to_the_trainer(batch):
  with pytest.raises(NotImplementedError, match="GuardedUpdates"):
    make(("training", "mixed_precision", "float16")).train_step(batch)


def test_training_is_repeatable_dropout_included(batch):
  runs = []
  for _ in range(2):
    model = make()
    runs.append([model.train_step(batch)["task_losses"].numpy() for _ in range(3)])
  np.testing.assert_allclose(runs[0], runs[1], rtol=1e-6)


def test_a_function_trains_as_eager_does(batch):
  model, eager = make(), make()
  step = tf.function(model.train_step, autograph=False)
  for _ in range(3):
    np.testing.assert_allclose(
      step(batch)["task_losses"], eager.train_step(batch)["task_losses"], rtol=1e-3
    )


def test_training_lowers_the_loss(batch):
  model = make(("optimizer", {"single_task_learning_rate": {"constant": 0.03}}))
  losses = [float(model.train_step(batch)["loss"]) for _ in range(20)]
  assert np.mean(losses[-5:]) < 0.5 * losses[0]

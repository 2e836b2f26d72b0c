"""Tests of `heavy_ranker.training.task_loss_reduction`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.training.task_loss_reduction import TaskLossReduction
from tests.heavy_ranker import example_config, layer_helpers, numpy_twins

TASKS = example_config.TASKS
LOSSES = np.array([0.7, 2.0, 0.01, 0.3], np.float32)
WEIGHTS = np.array([1.0, 0.25, 3.0, 0.0])
LOG_VARIANCES = np.array([0.0, 0.5, -2.0, 1.0])
REDUCTIONS = ("mean", "sum", "uncertainty")


def make(reduction, weights=WEIGHTS):
  changes = [("model", "tasks", t, "loss_weight", w) for t, w in zip(TASKS, weights)]
  changes.append(("model", "task_loss_reduction", reduction))
  layer = TaskLossReduction(example_config.build_config(changes).model)
  for variable, value in zip(layer.log_variances.values(), LOG_VARIANCES):
    variable.assign(value)
  return layer


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_equals_numpy_with_gradients(reduction):
  layer, losses = make(reduction), tf.constant(LOSSES)
  variables = list(layer.log_variances.values())
  assert len(variables) == (4 if reduction == "uncertainty" else 0)

  def run(losses):
    with tf.GradientTape() as tape:
      tape.watch(losses)
      total = layer(losses, 1.0)
    return [total, *tape.gradient(total, [losses, *variables])]

  eager = run(losses)
  for found, expected in zip(tf.function(run, autograph=False)(losses), eager):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  total, gradient, *of_variables = (x.numpy() for x in eager)
  twin = numpy_twins.total_loss
  np.testing.assert_allclose(total, twin(LOSSES, WEIGHTS, reduction, LOG_VARIANCES), rtol=1e-5)
  expected = layer_helpers.differences(
    lambda x: twin(x, WEIGHTS, reduction, LOG_VARIANCES), LOSSES.astype(np.float64)
  )
  np.testing.assert_allclose(gradient, expected, rtol=1e-4)
  if variables:
    expected = layer_helpers.differences(
      lambda s: twin(LOSSES, WEIGHTS, reduction, s), LOG_VARIANCES
    )
    np.testing.assert_allclose(of_variables, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_parts_of_a_batch_add_up_to_the_whole(reduction):
  layer, part = make(reduction), LOSSES * [0.5, 0.1, 0.9, 0.2]
  parts = layer(tf.constant(part, tf.float32), 0.375) + layer(
    tf.constant(LOSSES - part, tf.float32), 0.625
  )
  np.testing.assert_allclose(parts, layer(tf.constant(LOSSES), 1.0), rtol=1e-5)


def test_the_mean_with_weights_1_is_the_plain_mean_bit_for_bit():
  losses = tf.constant(LOSSES)
  found = make("mean", [1.0] * 4)(losses, 1.0)
  assert found.numpy() == tf.reduce_mean(losses).numpy()


def test_a_log_variance_moves_to_where_its_loss_weighs_one_half():
  layer, losses = make("uncertainty", [1.0] * 4), tf.constant(LOSSES)
  variables = list(layer.log_variances.values())
  for _ in range(300):
    with tf.GradientTape() as tape:
      total = layer(losses, 1.0)
    for variable, gradient in zip(variables, tape.gradient(total, variables)):
      variable.assign_sub(0.2 * gradient)
  # The derivative by s_t is 0 where exp(-s_t) L_t = 1 / 2.
  np.testing.assert_allclose([v.numpy() for v in variables], np.log(2 * LOSSES), atol=1e-3)


def test_log_variances_start_at_0():
  config = example_config.build_config([("model", "task_loss_reduction", "uncertainty")])
  layer = TaskLossReduction(config.model)
  assert list(layer.log_variances) == list(TASKS)
  assert [float(variable) for variable in layer.log_variances.values()] == [0.0] * 4
  assert len(layer.trainable_variables) == 4

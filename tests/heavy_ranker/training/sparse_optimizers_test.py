"""Tests of `heavy_ranker.training.sparse_optimizers`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config.optimizer import LearningRateConfig
from heavy_ranker.training.learning_rates import Schedule
from heavy_ranker.training.sparse_optimizers import make_sparse_optimizer
from tests.heavy_ranker import numpy_twins

RAMP = {"linear_ramp_to_constant": {"learning_rate": 0.5, "num_ramp_steps": 3}}
TWINS = {"sgd": numpy_twins.Sgd, "adagrad": numpy_twins.Adagrad}
ROWS, WIDTH, STEPS = 6, 3, 8


def make(algorithm, variable):
  optimizer = make_sparse_optimizer(algorithm, Schedule(LearningRateConfig.model_validate(RAMP)))
  optimizer.create_variables([variable])
  return optimizer


def gradients(indices):
  random = np.random.default_rng(2)
  for rows in indices:
    values = random.normal(size=(len(rows), WIDTH)).astype("f")
    yield tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([ROWS, WIDTH]))


@pytest.mark.parametrize("algorithm", TWINS)
def test_equals_the_dense_update_and_leaves_other_rows_alone(algorithm):
  value = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype("f")
  variable = tf.Variable(value)
  optimizer, twin, expected = make(algorithm, variable), TWINS[algorithm](), value.astype("d")
  indices = np.random.default_rng(1).integers(0, ROWS - 1, (STEPS, 9))
  for step, gradient in enumerate(gradients(indices)):
    optimizer.apply_gradients([(gradient, variable)])
    dense = np.zeros((ROWS, WIDTH))
    np.add.at(dense, gradient.indices.numpy(), gradient.values.numpy())
    expected = twin.update(expected, dense, numpy_twins.learning_rate(RAMP, step))
    np.testing.assert_allclose(variable, expected, rtol=1e-6, atol=5e-6, err_msg=f"step {step}")
  np.testing.assert_array_equal(variable[ROWS - 1], value[ROWS - 1])


@pytest.mark.parametrize("algorithm", TWINS)
def test_a_function_and_no_row_at_all(algorithm):
  variable = tf.Variable(np.ones([ROWS, WIDTH], np.float32))
  optimizer = make(algorithm, variable)

  @tf.function(autograph=False)
  def update(values, indices):
    optimizer.apply_gradients([(tf.IndexedSlices(values, indices, [ROWS, WIDTH]), variable)])

  update(tf.zeros([0, WIDTH]), tf.zeros([0], tf.int64))
  np.testing.assert_array_equal(variable, np.ones([ROWS, WIDTH]))
  assert optimizer.iterations.numpy() == 1


@pytest.mark.parametrize("algorithm", TWINS)
def test_many_equal_indices_always_give_the_same_bytes(algorithm):
  found = set()
  for _ in range(5):
    variable = tf.Variable(np.ones([ROWS, WIDTH], np.float32))
    optimizer = make(algorithm, variable)
    for gradient in gradients(np.random.default_rng(3).integers(0, 2, (2, 20_000))):
      optimizer.apply_gradients([(gradient, variable)])
    found.add(variable.numpy().tobytes())
  assert len(found) == 1

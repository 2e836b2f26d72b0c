"""Tests of `heavy_ranker.training.adam`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config.optimizer import LearningRateConfig
from heavy_ranker.training.adam import Adam
from heavy_ranker.training.learning_rates import Schedule
from tests.heavy_ranker import numpy_twins

RAMP = {"linear_ramp_to_constant": {"learning_rate": 0.1, "num_ramp_steps": 4}}
STEPS = 12


def schedule(config):
  return Schedule(LearningRateConfig.model_validate(config))


def start(seed=0):
  random = np.random.default_rng(seed)
  gradients = random.normal(size=(STEPS, 3, 4)) * np.exp(random.normal(0, 3, size=(3, 4)))
  gradients[:, 0, 0] = 0.0
  gradients[3:, 0, 1] = 0.0
  return random.normal(size=(3, 4)).astype("f"), gradients.astype("f")


def run(optimizer, value, gradients):
  variable = tf.Variable(value)
  values = []
  for gradient in gradients:
    optimizer.apply_gradients([(tf.constant(gradient), variable)])
    values.append(variable.numpy())
  return np.stack(values)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-7, 1e-3, 0.5])
@pytest.mark.parametrize("betas", [(0.95, 0.999), (0.5, 0.9), (0.0, 0.5)], ids=str)
def test_equals_pytorchs_form_in_float64(betas, epsilon):
  value, gradients = start()
  actual = run(Adam(schedule(RAMP), *betas, epsilon), value, gradients)
  twin, expected = numpy_twins.Adam(*betas, epsilon), value.astype(np.float64)
  for step, gradient in enumerate(gradients.astype(np.float64)):
    expected = twin.update(expected, gradient, numpy_twins.learning_rate(RAMP, step))
    np.testing.assert_allclose(actual[step], expected, atol=2e-6, err_msg=f"step {step}")


def test_epsilon_is_added_to_the_corrected_root():
  """Keras's Adam adds it to the uncorrected one: half as much again already in this case."""
  value = run(Adam(schedule({"constant": 1.0}), 0.9, 0.999, epsilon=1.0), [0.0], [[1.0]])
  np.testing.assert_allclose(value, [[-0.5]], rtol=1e-5)


def test_the_first_update_is_number_1_and_uses_the_rate_of_step_0():
  rates = {
    "piecewise_constant": {"learning_rate_boundaries": [1, 2], "learning_rate_values": [1, 10, 100]}
  }
  values = run(Adam(schedule(rates), epsilon=1e-12), [0.0], [[5.0]] * 3)
  # With equal gradients every step is as long as the rate, if the bias is corrected from t = 1 on.
  np.testing.assert_allclose(-np.diff(values[:, 0], prepend=0), [1, 10, 100], rtol=1e-4)


def test_a_ramp_makes_no_first_step_but_remembers_the_gradient():
  value, gradients = start()
  optimizer = Adam(schedule(RAMP), 0.95, 0.999, 1e-7)
  variable = tf.Variable(value)
  optimizer.apply_gradients([(tf.constant(gradients[0]), variable)])
  np.testing.assert_array_equal(variable, value)
  assert optimizer.iterations.numpy() == 1
  np.testing.assert_allclose(optimizer.get_slot(variable, "m"), 0.05 * gradients[0], rtol=1e-5)
  np.testing.assert_allclose(optimizer.get_slot(variable, "v"), 1e-3 * gradients[0] ** 2, rtol=1e-4)


def test_a_gradient_of_0_moves_nothing():
  values = run(Adam(schedule({"constant": 0.1})), [1.0, 2.0], np.float32([[0.0, 1.0]] * 3))
  np.testing.assert_array_equal(values[:, 0], np.ones(3))
  assert (np.diff(values[:, 1]) < 0).all()


def test_stays_exact_late_in_training():
  value, gradients = start()
  optimizer = Adam(schedule({"constant": 0.01}), 0.95, 0.999, 1e-3)
  variable = tf.Variable(value)
  optimizer.apply_gradients([(tf.constant(gradients[0]), variable)])
  optimizer.iterations.assign(1_000_000)
  mean, square = (optimizer.get_slot(variable, slot).numpy().astype("d") for slot in "mv")
  before = variable.numpy().astype("d")
  optimizer.apply_gradients([(tf.constant(gradients[1]), variable)])
  mean = 0.95 * mean + 0.05 * gradients[1]
  square = 0.999 * square + 0.001 * gradients[1].astype("d") ** 2
  expected = before - 0.01 * mean / (np.sqrt(square) + 1e-3)
  np.testing.assert_allclose(variable, expected, atol=1e-6)


def test_a_function_gives_what_eager_gives():
  value, gradients = start()
  eager = run(Adam(schedule(RAMP)), value, gradients)
  optimizer, variable = Adam(schedule(RAMP)), tf.Variable(value)

  @tf.function(autograph=False)
  def update(gradient):
    optimizer.apply_gradients([(gradient, variable)])

  for step, gradient in enumerate(gradients):
    update(tf.constant(gradient))
    np.testing.assert_allclose(variable, eager[step], atol=1e-6)


def test_a_sparse_gradient_is_a_dense_one_with_zeros():
  """As in PyTorch's Adam, a row that was not looked up moves on with its moments."""
  value, gradients = start()
  indices = np.random.default_rng(1).integers(0, 3, (STEPS, 5))
  optimizer, variable = Adam(schedule(RAMP), 0.9, 0.99, 1e-7), tf.Variable(value)
  twin, expected = numpy_twins.Adam(0.9, 0.99, 1e-7), value.astype(np.float64)
  for step, rows in enumerate(indices):
    values = np.resize(gradients[step], (5, 4)).astype("f")
    sparse = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([3, 4]))
    optimizer.apply_gradients([(sparse, variable)])
    dense = np.zeros((3, 4))
    np.add.at(dense, rows, values)
    expected = twin.update(expected, dense, numpy_twins.learning_rate(RAMP, step))
    np.testing.assert_allclose(variable, expected, atol=2e-6, err_msg=f"step {step}")


def test_get_config_holds_the_constants():
  config = Adam(schedule(RAMP), 0.95, 0.99, 1e-3).get_config()
  assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.95, 0.99, 1e-3)

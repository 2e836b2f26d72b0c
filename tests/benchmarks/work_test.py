"""The least time a model can take, from its matrices and the machine's rates."""

import pytest
import tf_keras as keras

from benchmarks.work import Machine, Work


def test_work_of_a_model():
  inputs = keras.Input((10,))
  outputs = keras.layers.Dense(20)(keras.layers.BatchNormalization()(inputs))
  work = Work.of(keras.Model(inputs, outputs))
  assert (work.parameters, work.matrix_elements) == (10 * 20 + 20 + 2 * 10, 10 * 20)


def test_the_production_model_has_the_known_floor():
  work, machine = Work(48_115_108, 48_075_776), Machine(200.0, 20.0)
  assert work.describe()["forward_mflop_per_example"] == pytest.approx(96.2, abs=0.1)
  products = 128 * 3 * 0.09615 / 200
  updates = 48.115e6 * 28 / 20e9
  assert work.training_seconds(128, machine) == pytest.approx(products + updates, rel=1e-3)
  # One example is bound by reading the weights, many by the products.
  assert work.scoring_seconds(1, machine) == pytest.approx(4 * 48.115e6 / 20e9, rel=1e-3)
  assert work.scoring_seconds(1500, machine) == pytest.approx(1500 * 0.09615 / 200, rel=1e-3)

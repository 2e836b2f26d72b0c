"""Tests of `heavy_ranker.layers.z_score_featurization`."""

import numpy as np
import pytest

from heavy_ranker.config.model import ZScoreLogConfig
from heavy_ranker.layers.z_score_featurization import MOMENTUM, ZScoreLog
from tests.heavy_ranker import layer_helpers, numpy_twins
from tfrecords.statistics_reader import LogStatistics

MEAN = np.array([0.5, -2.0, 0.0, 3.0, 1.0, 0.25, 20.0])
# Constant, too small for float32, and lost in the rounding of the mean.
STD = np.array([1.0, 0.3, 0.0, 2.0, 0.7, 1e-300, 1e-6])
EFFECTIVE_STD = np.array([1.0, 0.3, 0.0, 2.0, 0.7, 0.0, 0.0])
STATISTICS = LogStatistics(MEAN, STD)


@pytest.fixture(name="inputs")
def inputs_fixture():
  random = np.random.default_rng(0)
  continuous = (random.normal(size=(12, 7)) * np.exp(random.normal(0, 4, (12, 7)))).astype("f")
  binary = random.integers(0, 2, (12, 3)).astype(np.float32)
  continuous[1], binary[1] = 0.0, 0.0
  continuous[2, :3], binary[2, 0] = [np.nan, np.inf, -np.inf], np.nan
  continuous[3] = np.nan
  continuous[4] = [3.4e38, -3.4e38] * 3 + [1e-40]
  return [continuous, binary]


def make(inputs, statistics=STATISTICS, **config):
  layer = ZScoreLog(ZScoreLogConfig(analysis_path="unused", **config), statistics)
  layer(inputs)
  if layer.batch_norm is not None:
    layer_helpers.randomize(layer.batch_norm)
  return layer


@pytest.mark.parametrize("clip", [0.5, 10.0])
def test_equals_numpy(inputs, clip):
  layer = make(inputs, clip_magnitude=clip)
  outputs = layer_helpers.run(layer, inputs)
  assert outputs.shape == (12, 10)
  expected = numpy_twins.z_score_log(inputs, MEAN, EFFECTIVE_STD, clip)
  np.testing.assert_allclose(outputs, expected, atol=2e-5)
  np.testing.assert_array_equal(layer(inputs, training=True), outputs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("renorm, updates", [(False, 0), (True, 0), (True, 20_000)])
def test_a_norm_follows_the_z_score(inputs, renorm, updates, training):
  layer = make(inputs, use_batch_norm=True, use_renorm=renorm, clip_magnitude=2.0)
  weights = layer_helpers.norm_weights(layer.batch_norm)
  if renorm:
    layer.batch_norm.num_updates.assign(updates)

  def normalize(net):
    if training and renorm:
      return numpy_twins.batch_renormalization(net, weights, updates)
    return numpy_twins.batch_normalization(net, weights, training)

  outputs = layer_helpers.run(layer, inputs, training=training)
  expected = numpy_twins.z_score_log(inputs, MEAN, EFFECTIVE_STD, 2.0, normalize)
  np.testing.assert_allclose(outputs, expected, atol=2e-5)


def test_momentum_is_that_of_production(inputs):
  layer = make(inputs, use_batch_norm=True, clip_magnitude=1e6)
  weights = layer_helpers.norm_weights(layer.batch_norm)
  scores = numpy_twins.z_score_log(inputs[:1], MEAN, EFFECTIVE_STD, 1e18)
  layer(inputs, training=True)
  mean, _ = numpy_twins.moved_statistics(scores, weights, MOMENTUM)
  np.testing.assert_allclose(layer.batch_norm.moving_mean, mean, atol=1e-5)


def test_constant_columns_become_0_whatever_comes(inputs):
  outputs = make(inputs)(inputs).numpy()
  np.testing.assert_array_equal(outputs[:, [2, 5, 6]], 0.0)


def test_statistics_are_weights_that_nothing_trains(inputs):
  layer = make(inputs)
  names = [weight.name.split("/")[-1] for weight in layer.non_trainable_variables]
  assert names == ["mean:0", "std:0"]
  assert layer.trainable_variables == []
  np.testing.assert_array_equal(layer.mean, MEAN.astype("f"))
  np.testing.assert_array_equal(layer.std, EFFECTIVE_STD.astype("f"))


def test_without_statistics_it_waits_for_a_checkpoints(inputs):
  layer = make(inputs, statistics=None)
  np.testing.assert_array_equal(layer.mean, np.zeros(7))
  np.testing.assert_array_equal(layer.std, np.ones(7))
  layer.mean.assign(MEAN)
  layer.std.assign(EFFECTIVE_STD)
  np.testing.assert_array_equal(layer(inputs), make(inputs)(inputs))


@pytest.mark.parametrize("config", [{}, {"use_batch_norm": True, "use_renorm": True}])
@pytest.mark.parametrize("std", [1e-30, 1e-37])
def test_gradients_are_finite_for_every_input_and_the_smallest_deviation(inputs, std, config):
  statistics = LogStatistics(np.zeros(7), np.full(7, std))
  layer = make(inputs, statistics, **config)
  outputs = layer(inputs, training=True)
  assert np.isfinite(outputs.numpy()).all()
  found, _ = layer_helpers.gradients(layer, inputs, training=True)
  assert all(np.isfinite(gradient).all() for gradient in found[1:])


def test_only_continuous_or_several_others(inputs):
  continuous, binary = inputs
  for others in ([], [binary, binary[:, :1]]):
    layer = make([continuous, *others])
    expected = numpy_twins.z_score_log([continuous, *others], MEAN, EFFECTIVE_STD, 10.0)
    np.testing.assert_allclose(layer([continuous, *others]), expected, atol=2e-5)

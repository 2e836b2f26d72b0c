"""Tests of `heavy_ranker.layers.fitted_log` against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config.fitted_log import FittedLogConfig
from heavy_ranker.layers.fitted_log import FittedLog
from tests.heavy_ranker import layer_helpers
from tests.heavy_ranker.numpy_twins import signed_log1p

CONFIG = FittedLogConfig(
  leave_out=[1],
  pieces=3,
  no_pieces_of=[4],
  rates=[{"of": [2, 3], "per": 1}],
  smoothing=4.0,
  clip_magnitude=3.0,
)


@pytest.fixture(name="inputs")
def inputs_fixture():
  random = np.random.default_rng(0)
  impressions = random.integers(0, 50, 500)
  continuous = np.stack(
    [
      random.standard_normal(500) * 100,
      impressions,
      random.binomial(impressions, 0.3),
      random.binomial(impressions, 0.02),
      np.full(500, 7.0),  # Constant, and never missing.
    ],
    axis=1,
  )
  continuous[::7, 0], continuous[3, 2], continuous[4, 1] = np.nan, np.inf, np.nan
  return [continuous.astype("f"), random.integers(0, 2, (500, 2)).astype("f")]


def fitted(inputs, config=CONFIG):
  layer = FittedLog(config, name="featurization")
  layer([tf.constant(each) for each in inputs])
  layer.fit(inputs)
  return layer


def twin(inputs, train):
  """What the layer computes, fitted to `train`, with loops in place of tensors."""

  def raw(features):
    continuous, binary = (np.asarray(each, np.float64) for each in features)
    columns, medians = [], {}
    for column in (0, 2, 3, 4):
      of_train = np.asarray(train[0][:, column], np.float64)
      medians[column] = np.median(signed_log1p(of_train[np.isfinite(of_train)]))
    logs = {
      column: np.where(
        np.isfinite(continuous[:, column]),
        signed_log1p(np.nan_to_num(continuous[:, column], posinf=0)),
        medians[column],
      )
      for column in medians
    }
    columns += [*logs.values(), *(~np.isfinite(continuous[:, column]) for column in medians)]

    def counts(values, column):
      return np.maximum(np.nan_to_num(np.asarray(values[:, column], float), posinf=0), 0)

    for column in (2, 3):
      rate = (counts(train[0], column).sum() + 0.5) / (counts(train[0], 1).sum() + 1)
      smoothed = (counts(continuous, column) + 4 * rate) / (counts(continuous, 1) + 4)
      columns.append(np.log(smoothed))
    for column in (0, 2, 3):
      of_train = np.asarray(train[0][:, column], np.float64)
      finite = np.isfinite(of_train)
      known = np.where(finite, signed_log1p(np.where(finite, of_train, 0)), medians[column])
      edges = np.quantile(known, np.linspace(0, 1, 4))
      for start, end in zip(edges, edges[1:]):
        width = end - start
        ratio = (logs[column] - start) / width if width else np.zeros(len(continuous))
        columns.append(np.clip(ratio, 0, 1))
    return np.concatenate([np.stack(columns, axis=1), binary], axis=1)

  of_train, net = raw(train), raw(inputs)
  net = np.clip(net, of_train.min(axis=0), of_train.max(axis=0))
  std = of_train.std(axis=0)
  std[std < 1e-6] = np.inf
  return np.clip((net - of_train.mean(axis=0)) / std, -3, 3)


def test_equals_numpy(inputs):
  np.testing.assert_allclose(
    layer_helpers.run(fitted(inputs), inputs), twin(inputs, inputs), atol=2e-4
  )


def test_what_lies_beyond_the_training_data_counts_as_its_edge(inputs):
  layer = fitted(inputs)
  later = [inputs[0] * 1000, inputs[1] * 5]
  np.testing.assert_allclose(layer(later), twin(later, inputs), atol=2e-4)
  extremes = [np.full((3, 5), np.inf, "f"), np.full((3, 2), np.nan, "f")]
  extremes[0][1], extremes[0][2] = -3e38, np.nan
  assert np.isfinite(layer(extremes)).all()


def test_a_constant_column_is_0_even_when_it_changes_later(inputs):
  layer, changed = fitted(inputs), inputs[0].copy()
  changed[:, 4] = 1e6
  np.testing.assert_array_equal(layer([changed, inputs[1]])[:, 3], 0.0)


def test_no_rates_no_pieces_and_nothing_joined(inputs):
  layer = fitted(inputs[:1], FittedLogConfig(pieces=0))
  outputs = layer(inputs[:1]).numpy()
  assert outputs.shape == (500, 10)
  np.testing.assert_allclose(outputs[:, 0].std(), 1.0, atol=1e-3)


def test_one_example_and_a_column_that_is_always_missing():
  layer = fitted([np.array([[np.nan, 1, 0, 0, 2]], "f"), np.zeros((1, 2), "f")])
  np.testing.assert_array_equal(layer([tf.ones((2, 5)), tf.ones((2, 2))]), np.zeros((2, 21)))


def test_what_is_fitted_is_kept_by_checkpoints_and_trained_by_nothing(inputs):
  layer = fitted(inputs)
  assert layer.trainable_variables == []
  copy = FittedLog(CONFIG, name="featurization")
  copy([tf.constant(each) for each in inputs])
  layer_helpers.assign(copy, [variable.numpy() for variable in layer.variables])
  np.testing.assert_array_equal(copy(inputs), layer(inputs))

"""Tests of `heavy_ranker.layers.unstack`."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.layers.unstack import Unstack


def test_takes_the_tasks_apart_whatever_the_batch():
  inputs = keras.Input((3, 4))
  model = keras.Model(inputs, Unstack()(inputs))
  assert [tuple(output.shape) for output in model.outputs] == [(None, 4)] * 3
  values = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
  for call in (model, tf.function(model)):
    for task, output in enumerate(call(values)):
      np.testing.assert_array_equal(output, values[:, task])

"""Loss scaling: what arrives is exact, what overflows is left out, the scale follows."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.training import loss_scale
from heavy_ranker.training.distribution import make_strategy
from heavy_ranker.training.loss_scale import LossScale

BAZEL_SIZE = "medium"


class _Updates:
  """A scale under a strategy, and the updates it lets through."""

  def __init__(self):
    self._strategy = make_strategy()
    with self._strategy.scope():
      self.scale = LossScale()
      self._weight = tf.Variable([0.0, 0.0])
      self._rows = tf.Variable([[0.0], [0.0]])

  def make(self, dense, row):
    return self._make(tf.constant(dense), tf.constant([[row]]))

  @tf.function(autograph=False)
  def _make(self, dense, row):
    slices = tf.IndexedSlices(row, tf.constant([1]), tf.constant([2, 1]))
    self._strategy.run(lambda: self.scale.update([dense, None, slices], self._apply))
    return self._weight.read_value(), self._rows.read_value()

  def _apply(self, gradients):
    dense, nothing, slices = gradients
    assert nothing is None
    self._weight.assign_add(dense)
    self._rows.assign_add(tf.convert_to_tensor(slices))


def test_finite_gradients_are_applied_as_they_are():
  updates = _Updates()
  for _ in range(2):
    weight, rows = updates.make([1.0, -2.0], 3.0)
  np.testing.assert_array_equal(weight, [2.0, -4.0])
  np.testing.assert_array_equal(rows, [[0.0], [6.0]])
  assert (updates.scale.scale.numpy(), updates.scale.updates.numpy()) == (2.0**15, 2)


@pytest.mark.parametrize(
  ("dense", "row"), [([np.inf, 1.0], 1.0), ([1.0, 1.0], np.nan), ([np.nan, 1.0], -np.inf)]
)
def test_an_update_that_overflows_is_left_out(dense, row):
  updates = _Updates()
  updates.make([1.0, 1.0], 1.0)
  weight, rows = updates.make(dense, row)
  np.testing.assert_array_equal(weight, [1.0, 1.0])
  np.testing.assert_array_equal(rows, [[0.0], [1.0]])
  assert (updates.scale.scale.numpy(), updates.scale.updates.numpy()) == (2.0**14, 0)
  weight, _ = updates.make([1.0, 1.0], 1.0)
  np.testing.assert_array_equal(weight, [2.0, 2.0])


def test_the_scale_stays_between_its_bounds(monkeypatch):
  monkeypatch.setattr(loss_scale, "_UPDATES_TO_GROW", 2)
  updates = _Updates()
  found = []
  for _ in range(22):
    updates.make([1.0, 1.0], 1.0)
    found.append(updates.scale.scale.numpy())
  assert found[:4] == [2.0**15, 2.0**16, 2.0**16, 2.0**17]
  assert max(found) == found[-1] == 2.0**24
  updates.scale.scale.assign(2.0)
  for _ in range(3):
    updates.make([np.nan, 1.0], 1.0)
  assert updates.scale.scale.numpy() == 1.0


def test_scaling_is_undone_exactly():
  scale = LossScale()
  slices = tf.IndexedSlices(tf.constant([[0.3 * 2**15]]), tf.constant([4]), tf.constant([9, 1]))
  values = np.float32([0.1, 1e-9, -7.7])
  dense, nothing, rows = scale.unscaled([scale.scaled(tf.constant(values)), None, slices])
  np.testing.assert_array_equal(dense, values)
  assert nothing is None
  assert (rows.values.numpy().item(), rows.indices.numpy().item()) == (np.float32(0.3), 4)

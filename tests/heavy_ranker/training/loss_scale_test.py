"""Loss scaling: what arrives is exact, and the scale follows what was left out."""

import numpy as np
import tensorflow as tf

from heavy_ranker.training import loss_scale
from heavy_ranker.training.loss_scale import LossScale

BAZEL_SIZE = "medium"


def _state(scale):
  return scale.scale.numpy(), scale.updates.numpy()


def test_an_update_that_is_left_out_halves_the_scale_and_counts_anew():
  scale = LossScale()
  assert not scale.grow()
  assert _state(scale) == (2.0**15, 1)
  assert scale.shrink()
  assert _state(scale) == (2.0**14, 0)


def test_the_scale_stays_between_its_bounds(monkeypatch):
  monkeypatch.setattr(loss_scale, "_UPDATES_TO_GROW", 2)
  scale = LossScale()
  grown, found = [], []
  for _ in range(22):
    grown.append(bool(scale.grow()))
    found.append(scale.scale.numpy())
  assert grown == [False, True] * 11
  assert found[:4] == [2.0**15, 2.0**16, 2.0**16, 2.0**17]
  assert max(found) == found[-1] == 2.0**24
  scale.scale.assign(2.0)
  assert [bool(scale.shrink()) for _ in range(3)] == [True, False, False]
  assert scale.scale.numpy() == 1.0


def test_scaling_is_undone_exactly():
  scale = LossScale()
  slices = tf.IndexedSlices(tf.constant([[0.3 * 2**15]]), tf.constant([4]), tf.constant([9, 1]))
  values = np.float32([0.1, 1e-9, -7.7])
  dense, nothing, rows = scale.unscaled([scale.scaled(tf.constant(values)), None, slices])
  np.testing.assert_array_equal(dense, values)
  assert nothing is None
  assert (rows.values.numpy().item(), rows.indices.numpy().item()) == (np.float32(0.3), 4)

"""Tests of `heavy_ranker.checkpoints` that need no training run."""

import pytest
import tensorflow as tf

from heavy_ranker.checkpoints import stored_shapes


@pytest.mark.parametrize("name", ["a/b", "area.Sales", "a.S/b..c", "..", "x./.S"])
def test_names_of_stored_weights_are_read_as_they_were_given(name, tmp_path):
  variable = tf.Variable([1.0, 2.0])
  path = tf.train.Checkpoint(weights={name: variable}).write(str(tmp_path / "checkpoint"))
  assert stored_shapes(path) == {name: (2,)}
  assert stored_shapes(path, "others") == {}

"""The layer from logits to calibrated probabilities."""

from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.calibration.curves import IDENTITY, CalibrationCurve
from heavy_ranker.calibration.sampling import sampling_offsets


class Calibration(keras.layers.Layer):
  """Undoes the sampling, then applies each task's fitted curve if there is one.

  Stock ops only, and constants instead of weights: an export needs nothing else, and a checkpoint
  is the same with and without calibration.

  Args:
    tasks: the model's tasks in order.
    ratios: neg_downsampling_rate / pos_downsampling_rate by position of the task, each above 0;
      all 1 keeps the probabilities as they are.
    curves: the fitted curves by task; a task without one keeps its probability.
    name: the layer's name.
  """

  def __init__(
    self,
    tasks: Sequence[str],
    ratios: Sequence[float],
    curves: Optional[Mapping[str, CalibrationCurve]] = None,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    self._offsets = sampling_offsets(ratios)
    by_position = [(curves or {}).get(task, IDENTITY) for task in tasks]
    self._slopes = np.array([curve.slope for curve in by_position], np.float32)
    self._intercepts = np.array([curve.intercept for curve in by_position], np.float32)
    self._is_identity = all((curve.slope, curve.intercept) == (1.0, 0.0) for curve in by_position)
    self._knots = {
      position: (np.array(curve.logits, np.float32), np.array(curve.probabilities, np.float32))
      for position, curve in enumerate(by_position)
      if curve.logits
    }

  def call(self, logits: tf.Tensor) -> tf.Tensor:
    """Maps logits [batch, tasks] to calibrated probabilities [batch, tasks]."""
    logits = logits + self._offsets
    linear = tf.sigmoid(logits if self._is_identity else logits * self._slopes + self._intercepts)
    if not self._knots:
      return linear
    columns = tf.unstack(linear, axis=1)
    for position, (knots, values) in self._knots.items():
      columns[position] = _interpolate(logits[:, position], knots, values)
    return tf.stack(columns, axis=1)


def _interpolate(inputs: tf.Tensor, knots: np.ndarray, values: np.ndarray) -> tf.Tensor:
  """Returns the piecewise linear function through (knots, values), constant beyond them, [n]."""
  inputs = tf.clip_by_value(inputs, knots[0], knots[-1])
  right = tf.clip_by_value(tf.searchsorted(knots, inputs, side="right"), 1, len(knots) - 1)
  left = right - 1
  left_knot, right_knot = tf.gather(knots, left), tf.gather(knots, right)
  share = (inputs - left_knot) / (right_knot - left_knot)
  left_value = tf.gather(values, left)
  return left_value + share * (tf.gather(values, right) - left_value)

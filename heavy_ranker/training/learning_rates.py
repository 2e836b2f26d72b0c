"""Learning-rate schedules; s is the number of updates made before, so the first one has s = 0."""

import math

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.optimizer import (
  LearningRateConfig,
  LinearRampToConstant,
  LinearRampToCosine,
  PiecewiseConstant,
)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
  """A learning rate as a function of the step, from its configuration.

  `constant`: lr. `linear_ramp_to_constant`: min(lr, lr s / ramp). `linear_ramp_to_cosine`: the
  ramp, then final + (lr - final) (1 + cos(pi t)) / 2 with t from 0 at the ramp's end to 1 at
  final_num_steps, then final (cosine annealing, arXiv 1608.03983). `piecewise_constant`:
  values[number of boundaries <= s].

  Args:
    config: exactly one schedule is set.
  """

  def __init__(self, config: LearningRateConfig):
    self._config = config

  def __call__(self, step: tf.Tensor) -> tf.Tensor:
    """Returns the learning rate, float32 scalar, for a step of any numeric dtype."""
    step = tf.cast(step, tf.float64)
    config = self._config
    if config.constant is not None:
      rate = tf.constant(config.constant, tf.float64)
    elif config.linear_ramp_to_constant is not None:
      rate = _ramp(step, config.linear_ramp_to_constant)
    elif config.linear_ramp_to_cosine is not None:
      rate = _ramp_to_cosine(step, config.linear_ramp_to_cosine)
    else:
      rate = _piecewise(step, config.piecewise_constant)
    return tf.cast(rate, tf.float32)

  def get_config(self) -> dict:
    """Returns the schedule's configuration as plain data."""
    return {"config": self._config.model_dump(exclude_none=True)}


def _ramp(step: tf.Tensor, config: LinearRampToConstant) -> tf.Tensor:
  return config.learning_rate * tf.minimum(step / config.num_ramp_steps, 1.0)


def _ramp_to_cosine(step: tf.Tensor, config: LinearRampToCosine) -> tf.Tensor:
  ramp = config.learning_rate * step / config.num_ramp_steps
  span = config.final_num_steps - config.num_ramp_steps
  progress = tf.minimum((step - config.num_ramp_steps) / span, 1.0)
  height = config.learning_rate - config.final_learning_rate
  cosine = config.final_learning_rate + height * 0.5 * (1.0 + tf.cos(math.pi * progress))
  return tf.where(step < config.num_ramp_steps, ramp, cosine)


def _piecewise(step: tf.Tensor, config: PiecewiseConstant) -> tf.Tensor:
  boundaries = tf.constant(config.learning_rate_boundaries, tf.float64)
  position = tf.reduce_sum(tf.cast(boundaries <= step, tf.int32))
  return tf.gather(tf.constant(config.learning_rate_values, tf.float64), position)

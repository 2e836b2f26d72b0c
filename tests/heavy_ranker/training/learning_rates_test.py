"""Tests of `heavy_ranker.training.learning_rates`."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.config.optimizer import LearningRateConfig
from heavy_ranker.training.learning_rates import Schedule
from tests.heavy_ranker import numpy_twins
from tests.heavy_ranker.golden_numbers import Golden

TABLE = Golden("c_optimizer").facts["compute_lr_table"]
STEPS = Golden("c_optimizer").facts["compute_lr_steps"]
RATES = st.floats(1e-9, 10.0)
COUNTS = st.integers(1, 1_000_000)


def make(config):
  return Schedule(LearningRateConfig.model_validate(config))


@pytest.mark.parametrize("name", TABLE)
def test_equals_the_reference(name):
  schedule = make(TABLE[name]["config"])
  rates = [float(schedule(step)) for step in STEPS]
  np.testing.assert_allclose(rates, TABLE[name]["lr"], rtol=1e-7)


@st.composite
def schedules(draw):
  kind = draw(st.sampled_from(["constant", "to_constant", "to_cosine", "piecewise"]))
  if kind == "constant":
    return {"constant": draw(RATES)}
  if kind == "piecewise":
    boundaries = sorted(draw(st.sets(st.integers(0, 1_000_000), max_size=5)))
    count = len(boundaries) + 1
    values = draw(st.lists(RATES, min_size=count, max_size=count))
    options = {"learning_rate_boundaries": boundaries, "learning_rate_values": values}
    return {"piecewise_constant": options}
  options = {"learning_rate": draw(RATES), "num_ramp_steps": draw(COUNTS)}
  if kind == "to_constant":
    return {"linear_ramp_to_constant": options}
  final = {
    "final_learning_rate": draw(RATES),
    "final_num_steps": options["num_ramp_steps"] + draw(COUNTS),
  }
  return {"linear_ramp_to_cosine": {**options, **final}}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_equals_numpy_for_every_schedule_and_step(data):
  config = data.draw(schedules())
  edges = [x for option in config.values() if isinstance(option, dict) for x in option.values()]
  edges = [x for option in edges for x in (option if isinstance(option, list) else [option])]
  near = [max(int(x) + shift, 0) for x in edges for shift in (-1, 0, 1)]
  step = data.draw(st.sampled_from(near) | st.integers(0, 2_000_000) if near else COUNTS)
  expected = numpy_twins.learning_rate(config, step)
  np.testing.assert_allclose(float(make(config)(step)), expected, rtol=2e-7, atol=1e-15)


RAMP = {"linear_ramp_to_constant": {"learning_rate": 0.3, "num_ramp_steps": 7}}
COSINE = {
  "linear_ramp_to_cosine": {
    "learning_rate": 0.3,
    "final_learning_rate": 0.1,
    "num_ramp_steps": 2,
    "final_num_steps": 6,
  }
}
PIECES = {
  "piecewise_constant": {"learning_rate_boundaries": [3], "learning_rate_values": [1.0, 2.0]}
}


@pytest.mark.parametrize("config", [{"constant": 0.5}, RAMP, COSINE, PIECES], ids=lambda x: [*x][0])
def test_works_in_a_function_for_every_dtype_of_the_step(config):
  schedule = make(config)
  function = tf.function(schedule, autograph=False)
  for dtype in (tf.int64, tf.int32, tf.float32):
    for step in range(8):
      rate = function(tf.constant(step, dtype))
      assert rate.dtype == tf.float32
      assert rate.shape == ()
      expected = numpy_twins.learning_rate(config, step)
      np.testing.assert_allclose(rate, expected, rtol=1e-7)


def test_steps_beyond_float32_still_count():
  config = {
    "piecewise_constant": {
      "learning_rate_boundaries": [2**24 + 1],
      "learning_rate_values": [1.0, 2.0],
    }
  }
  schedule = make(config)
  assert [float(schedule(tf.constant(2**24 + shift, tf.int64))) for shift in (0, 1)] == [1.0, 2.0]


def test_ramps_start_at_0_and_the_cosine_ends_for_good():
  assert float(make(RAMP)(0)) == float(make(COSINE)(0)) == 0.0
  np.testing.assert_allclose(
    [make(COSINE)(step) for step in (2, 4, 6, 7, 10**9)], [0.3, 0.2, 0.1, 0.1, 0.1], rtol=1e-6
  )


def test_a_boundary_belongs_to_the_value_after_it():
  assert [float(make(PIECES)(step)) for step in (2, 3)] == [1.0, 2.0]


def test_get_config_is_what_the_file_says():
  assert make(COSINE).get_config() == {"config": COSINE}

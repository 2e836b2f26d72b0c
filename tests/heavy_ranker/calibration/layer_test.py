"""Tests of `heavy_ranker.calibration.layer`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.calibration.curves import CalibrationCurve
from heavy_ranker.calibration.layer import Calibration
from tests.heavy_ranker import layer_helpers, numpy_twins

TASKS = ["likes", "replies", "reports", "clicks"]
LOGITS = np.random.default_rng(0).normal(0, 4, size=(50, 4)).astype(np.float32)
RATIOS = [1.0, 0.019 / 0.95, 0.000014, 3.0]
PLATT = CalibrationCurve("platt", slope=0.8, intercept=-0.3)
STEPS = CalibrationCurve("isotonic", logits=(-2.0, 0.0, 1.5), probabilities=(0.1, 0.1, 0.7))


def test_equals_the_formula_on_probabilities():
  outputs = layer_helpers.run(Calibration(TASKS, RATIOS), LOGITS)
  assert outputs.shape == LOGITS.shape
  expected = numpy_twins.calibrate(numpy_twins.sigmoid(LOGITS), np.array(RATIOS))
  np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_ratio_1_keeps_the_raw_probabilities():
  outputs = Calibration(TASKS, [1.0] * 4)(LOGITS)
  np.testing.assert_allclose(outputs, numpy_twins.sigmoid(LOGITS), rtol=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -90.0, -20.0, 0.0, 20.0, 1e4, 3.4e38, -3.4e38])
def test_keeps_its_digits_and_stays_a_probability(logit):
  outputs = Calibration(TASKS, RATIOS)(np.full([1, 4], logit, np.float32)).numpy()[0]
  assert ((outputs >= 0) & (outputs <= 1)).all()
  if abs(logit) < 50:
    odds = np.array(RATIOS) * np.exp(logit)
    np.testing.assert_allclose(outputs, odds / (1 + odds), rtol=1e-5)


def test_undoes_the_sampling_of_counts():
  """1000 positives and 99000 negatives, of which 90% and 1% are kept."""
  kept = 900 / (900 + 990)
  logit = np.float32([[np.log(kept / (1 - kept))]])
  np.testing.assert_allclose(Calibration(["likes"], [0.01 / 0.9])(logit), [[0.01]], rtol=1e-5)


def test_curves_follow_the_sampling_correction_and_belong_to_their_task():
  curves = {"reports": STEPS, "likes": PLATT}
  outputs = layer_helpers.run(Calibration(TASKS, RATIOS, curves), LOGITS)
  shifted = LOGITS.astype(np.float64) + np.log(RATIOS)
  expected = numpy_twins.sigmoid(shifted)
  expected[:, 0] = numpy_twins.sigmoid(0.8 * shifted[:, 0] - 0.3)
  expected[:, 2] = np.interp(shifted[:, 2], STEPS.logits, STEPS.probabilities)
  np.testing.assert_allclose(outputs, expected, rtol=1e-5)


@pytest.mark.parametrize("logit", [-np.inf, -3.4e38, -2.0, 0.0, 1.5, 3.4e38, np.inf])
def test_curves_hold_for_every_logit(logit):
  curves = {"likes": PLATT, "replies": STEPS}
  outputs = Calibration(TASKS, [1.0] * 4, curves)(np.full([3, 4], logit, np.float32)).numpy()
  assert ((outputs >= 0) & (outputs <= 1)).all()
  assert outputs[0, 1] == pytest.approx(np.interp(logit, STEPS.logits, STEPS.probabilities))


@settings(max_examples=50, deadline=None)
@given(
  knots=st.lists(st.integers(-400, 400), min_size=2, max_size=30, unique=True),
  inputs=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20),
)
def test_interpolation_equals_numpys(knots, inputs):
  knots = np.sort(knots) / 10
  values = np.linspace(0.0, 1.0, len(knots)) ** 2
  curve = CalibrationCurve("isotonic", logits=tuple(knots), probabilities=tuple(values))
  outputs = Calibration(["likes"], [1.0], {"likes": curve})(np.float32(inputs)[:, np.newaxis])
  expected = np.interp(np.float32(inputs), np.float32(knots), values)
  np.testing.assert_allclose(outputs.numpy()[:, 0], expected, atol=2e-5)

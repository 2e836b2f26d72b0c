"""Tests of `heavy_ranker.calibration`."""

import numpy as np
import pytest

from heavy_ranker.calibration import SamplingCalibration, sampling_ratios
from tests.heavy_ranker import example_config, layer_helpers, numpy_twins

LOGITS = np.random.default_rng(0).normal(0, 4, size=(50, 4)).astype(np.float32)
RATIOS = [1.0, 0.019 / 0.95, 0.000014, 3.0]


def test_equals_the_formula_on_probabilities():
  outputs = layer_helpers.run(SamplingCalibration(RATIOS), LOGITS)
  assert outputs.shape == LOGITS.shape
  expected = numpy_twins.calibrate(numpy_twins.sigmoid(LOGITS), np.array(RATIOS))
  np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_ratio_1_keeps_the_raw_probabilities():
  outputs = SamplingCalibration([1.0] * 4)(LOGITS)
  np.testing.assert_allclose(outputs, numpy_twins.sigmoid(LOGITS), rtol=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -90.0, -20.0, 0.0, 20.0, 1e4, 3.4e38, -3.4e38])
def test_keeps_its_digits_and_stays_a_probability(logit):
  outputs = SamplingCalibration(RATIOS)(np.full([1, 4], logit, np.float32)).numpy()[0]
  assert ((outputs >= 0) & (outputs <= 1)).all()
  if abs(logit) < 50:
    odds = np.array(RATIOS) * np.exp(logit)
    np.testing.assert_allclose(outputs, odds / (1 + odds), rtol=1e-5)


def test_undoes_the_sampling_of_counts():
  """1000 positives and 99000 negatives, of which 90% and 1% are kept."""
  kept = 900 / (900 + 990)
  logit = np.float32([[np.log(kept / (1 - kept))]])
  np.testing.assert_allclose(SamplingCalibration([0.01 / 0.9])(logit), [[0.01]], rtol=1e-5)


def test_ratios_are_negatives_rate_over_positives_rate_in_the_models_order():
  config = example_config.build_config([("train_data", "sampling_correction", "calibration")])
  ratios = sampling_ratios(config.train_data, list(example_config.TASKS))
  np.testing.assert_allclose(ratios, [1 / 0.9, 1.0, 0.01 / 0.8, 0.5])


def test_a_weighted_loss_needs_no_recalibration():
  config = example_config.build_config()
  assert config.train_data.sampling_correction == "weights"
  assert sampling_ratios(config.train_data, list(example_config.TASKS)) == [1.0] * 4

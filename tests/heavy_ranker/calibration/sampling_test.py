"""Tests of `heavy_ranker.calibration.sampling`."""

import numpy as np

from heavy_ranker.calibration.sampling import sampling_offsets, sampling_ratios
from tests.heavy_ranker import example_config


def test_ratios_are_negatives_rate_over_positives_rate_in_the_models_order():
  config = example_config.build_config([("train_data", "sampling_correction", "calibration")])
  ratios = sampling_ratios(config.train_data, list(example_config.TASKS))
  np.testing.assert_allclose(ratios, [1 / 0.9, 1.0, 0.01 / 0.8, 0.5])
  offsets = sampling_offsets(ratios)
  assert offsets.dtype == np.float32
  np.testing.assert_allclose(np.exp(offsets), ratios, rtol=1e-6)


def test_a_weighted_loss_needs_no_recalibration():
  config = example_config.build_config()
  assert config.train_data.sampling_correction == "weights"
  assert sampling_ratios(config.train_data, list(example_config.TASKS)) == [1.0] * 4

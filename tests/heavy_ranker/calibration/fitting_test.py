"""Tests of `heavy_ranker.calibration.fitting`."""

import numpy as np
import pytest
from scipy import optimize

from heavy_ranker.calibration.fitting import fit_curve
from heavy_ranker.calibration.layer import Calibration

N = 20_000


def sample(slope, intercept, seed=0):
  """Logits, labels that follow sigmoid(slope * logit + intercept), weights that do not matter."""
  random = np.random.default_rng(seed)
  logits = random.normal(-1.0, 2.0, N).astype(np.float32)
  labels = (random.random(N) < 1 / (1 + np.exp(-slope * logits - intercept))).astype(np.float32)
  return logits, labels, random.uniform(0.5, 2.0, N).astype(np.float32)


def weighted_log_loss(parameters, logits, labels, weights):
  logits = parameters[0] * logits.astype(np.float64) + parameters[1]
  return np.average(np.logaddexp(0, logits) - labels * logits, weights=weights)


def test_platt_minimizes_the_weighted_log_loss():
  data = sample(0.6, -1.2)
  curve = fit_curve("platt", *data)
  assert curve.slope == pytest.approx(0.6, abs=0.03)
  assert curve.intercept == pytest.approx(-1.2, abs=0.05)
  best = optimize.minimize(weighted_log_loss, [1.0, 0.0], data, tol=1e-10)
  np.testing.assert_allclose([curve.slope, curve.intercept], best.x, atol=1e-4)


def test_temperature_has_no_intercept():
  data = sample(0.5, 0.0)
  curve = fit_curve("temperature", *data)
  assert curve.intercept == 0.0
  best = optimize.minimize(lambda slope: weighted_log_loss([slope[0], 0.0], *data), [1.0])
  assert curve.slope == pytest.approx(best.x[0], abs=1e-4)


def test_isotonic_gives_each_region_its_weighted_rate():
  logits, labels, weights = sample(1.0, 0.0)
  labels = np.where(logits > 0, labels, 0).astype(np.float32)
  curve = fit_curve("isotonic", logits, labels, weights)
  outputs = Calibration(["task"], [1.0], {"task": curve})(logits[:, np.newaxis]).numpy()[:, 0]
  for low, high in ((-10, 0), (0, 1), (1, 2), (2, 10)):
    rows = (logits > low) & (logits <= high)
    rate = np.average(labels[rows], weights=weights[rows])
    assert np.average(outputs[rows], weights=weights[rows]) == pytest.approx(rate, abs=0.02)
  assert (np.diff(outputs[np.argsort(logits)]) >= 0).all()


@pytest.mark.parametrize("method", ["platt", "temperature", "isotonic"])
@pytest.mark.parametrize(
  ("logits", "labels", "note"),
  [
    ([0.0, 1.0], [0, 0], "no positives among 2 examples"),
    ([0.0, 1.0], [1, 1], "nothing but positives among 2 examples"),
    ([1.0, 1.0], [1, 0], "all predictions are equal"),
    ([], [], "no positives among 0 examples"),
  ],
)
def test_what_the_examples_do_not_decide_stays_as_it_is(method, logits, labels, note):
  curve = fit_curve(
    method, np.float32(logits), np.float32(labels), np.ones(len(labels), np.float32)
  )
  assert (curve.method, curve.note) == ("none", note)
  assert (curve.slope, curve.intercept, curve.logits) == (1.0, 0.0, ())


@pytest.mark.parametrize(
  ("method", "labels", "note"),
  [
    ("platt", [0, 0, 1, 1], "part the classes without an error"),
    ("temperature", [0, 0, 1, 1], "part the classes without an error"),
    ("platt", [1, 1, 0, 0], "predictions are worse than none"),
    ("isotonic", [1, 1, 0, 0], "constant"),
  ],
)
def test_curves_without_a_finite_rising_fit_are_refused(method, labels, note):
  logits = np.float32([-2, -1, 1, 2])
  curve = fit_curve(method, logits, np.float32(labels), np.ones(4, np.float32))
  assert curve.method == "none"
  assert note in curve.note


def test_infinite_logits_and_examples_without_weight_do_no_harm():
  logits, labels, weights = sample(1.0, 0.0)
  spoiled = np.append(logits, np.float32([np.inf, -np.inf, 7.0])), np.append(labels, [1, 0, 0])
  curve = fit_curve("platt", *spoiled, np.append(weights, [1, 1, 0]))
  without = fit_curve("platt", logits, labels, weights)
  assert curve.slope == pytest.approx(without.slope, abs=0.01)

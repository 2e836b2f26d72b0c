"""Fits one task's calibration curve to held-out examples, with scikit-learn.

All three are fitted by weighted log loss (isotonic: weighted squares), on the logit:

* platt: sigmoid(a logit + b) (Platt, 1999).
* temperature: sigmoid(logit / T) (Guo et al., arXiv 1706.04599).
* isotonic: the best function that never falls (Zadrozny and Elkan, KDD 2002). It needs thousands
  of positives, and examples on one of its steps become ties.
"""

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from heavy_ranker.calibration.curves import CalibrationCurve

# Where the held-out examples hold no positive at all, the true rate still is not 0.
_SMALLEST_PROBABILITY = 1e-7
_LARGEST_LOGIT = 40.0
_LEAST_KNOT_DISTANCE = 1e-5


def fit_curve(
  method: str, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> CalibrationCurve:
  """Fits a curve.

  Args:
    method: platt, temperature, isotonic or none.
    logits: with the sampling undone, [n].
    labels: 0 or 1, [n].
    weights: weight of each example, [n].

  Returns:
    The curve. Where the examples decide none, the identity with a note that says why.
  """
  if method == "none":
    return CalibrationCurve("none", note="switched off")
  counted = weights > 0
  logits = np.clip(logits[counted].astype(np.float64), -_LARGEST_LOGIT, _LARGEST_LOGIT)
  labels, weights = labels[counted], weights[counted]
  n_positives = int(labels.sum())
  if n_positives in (0, len(labels)):
    found = "no" if n_positives == 0 else "nothing but"
    return CalibrationCurve("none", note=f"{found} positives among {len(labels)} examples")
  if logits.min() == logits.max():
    return CalibrationCurve("none", note="all predictions are equal")
  if method == "isotonic":
    return _isotonic(logits, labels, weights)
  return _linear(method, logits, labels, weights)


def _linear(
  method: str, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> CalibrationCurve:
  if _is_separable(logits, labels):
    return CalibrationCurve("none", note="the predictions part the classes without an error")
  # The scale of the inputs and of the weights decides how well the solver does.
  scale = logits.std()
  regression = LogisticRegression(
    penalty=None, fit_intercept=method == "platt", tol=1e-8, max_iter=1000
  )
  regression.fit(logits[:, np.newaxis] / scale, labels, weights / weights.mean())
  slope = float(regression.coef_[0, 0] / scale)
  if slope <= 0:
    return CalibrationCurve("none", note="the fitted curve falls: predictions are worse than none")
  intercept = float(regression.intercept_[0]) if method == "platt" else 0.0
  return CalibrationCurve(method, slope=slope, intercept=intercept)


def _is_separable(logits: np.ndarray, labels: np.ndarray) -> bool:
  return bool(logits[labels == 1].min() > logits[labels == 0].max())


def _isotonic(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> CalibrationCurve:
  regression = IsotonicRegression(
    y_min=_SMALLEST_PROBABILITY, y_max=1 - _SMALLEST_PROBABILITY, out_of_bounds="clip"
  )
  regression.fit(logits, labels, weights)
  knots, values = regression.X_thresholds_, regression.y_thresholds_
  # float32, in which the model interpolates, has to tell neighbours apart.
  apart = np.append(True, np.diff(knots) > _LEAST_KNOT_DISTANCE)
  knots, values = knots[apart], values[apart]
  if values[0] == values[-1]:
    return CalibrationCurve("none", note="the best curve that never falls is constant")
  return CalibrationCurve(
    "isotonic", logits=tuple(knots.tolist()), probabilities=tuple(values.tolist())
  )

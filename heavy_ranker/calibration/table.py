"""What calibration changed, as a table for the terminal."""

import numpy as np
from tabulate import tabulate

from heavy_ranker.calibration.calibrator import CalibrationResult, HeldOutTask
from heavy_ranker.calibration.curves import IDENTITY, CalibrationCurve
from heavy_ranker.calibration.fitting import fit_curve
from heavy_ranker.calibration.layer import Calibration
from heavy_ranker.evaluation import metrics

_HEADINGS = ("task", "method", "curve", "PCTR/CTR", "calibrated", "log loss", "calibrated")


def format_calibration(result: CalibrationResult) -> str:
  """Returns a row a task, measured honestly.

  For the columns "calibrated" the curve is fitted to every second example and measured on the
  others; the stored curve is fitted to all of them.
  """
  rows = []
  for task, curve in result.calibration.curves.items():
    held_out = result.examples.get(task)
    figures = ("-",) * 4 if held_out is None else _figures(curve, held_out)
    rows.append((task.rsplit(".", 1)[-1], curve.method, _describe(curve), *figures))
  return tabulate(rows, _HEADINGS, disable_numparse=True)


def _figures(curve: CalibrationCurve, held_out: HeldOutTask) -> tuple[str, ...]:
  fitted = slice(0, None, 2)
  halved = fit_curve(
    curve.method, held_out.logits[fitted], held_out.labels[fitted], held_out.weights[fitted]
  )
  before, after = (_measure(of, held_out, slice(1, None, 2)) for of in (IDENTITY, halved))
  return (*(f"{values[0]:.4f}" for values in (before, after)), *_losses(before, after))


def _measure(curve: CalibrationCurve, held_out: HeldOutTask, rows: slice) -> tuple[float, float]:
  logits, labels, weights = held_out.logits[rows], held_out.labels[rows], held_out.weights[rows]
  layer = Calibration(["task"], [1.0], {"task": curve})
  probabilities = layer(logits[:, np.newaxis]).numpy()[:, 0]
  actual = metrics.click_through_rate(probabilities, labels, weights)
  predicted = metrics.predicted_click_through_rate(probabilities, labels, weights)
  ratio = predicted / actual if actual > 0 else float("nan")
  return ratio, metrics.log_loss(probabilities, labels, weights)


def _losses(before: tuple[float, float], after: tuple[float, float]) -> tuple[str, str]:
  return f"{before[1]:.6f}", f"{after[1]:.6f}"


def _describe(curve: CalibrationCurve) -> str:
  if curve.method == "none":
    return curve.note
  if curve.logits:
    return f"{len(curve.logits)} knots"
  if curve.method == "temperature":
    return f"T = {1 / curve.slope:.4f}"
  return f"{curve.slope:.4f} logit {curve.intercept:+.4f}"

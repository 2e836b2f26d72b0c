"""How far the scores of an export are from those of float32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from heavy_ranker.config.export_precision import ExportPrecision
from tfrecords.errors import PrecisionError


@dataclass(frozen=True)
class PrecisionChange:
  """The difference of two rankers on the same examples.

  Attributes:
    examples: how many.
    largest_score_change, mean_score_change: of an example's score, in standard deviations of the
      first ranker's score over the examples.
    kendall_tau: Kendall's tau-b of the scores.
    largest_logit_changes: by task.
  """

  examples: int
  largest_score_change: float
  mean_score_change: float
  kendall_tau: float
  largest_logit_changes: Mapping[str, float]


def precision_change(
  before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], tasks: Sequence[str]
) -> PrecisionChange:
  """Compares what two rankers say of the same examples; not a number where either does.

  Args:
    before: `score` [n], not all equal, and `logits` [n, tasks].
    after: the same of the other ranker.
    tasks: the tasks in order.
  """
  from scipy import stats  # Takes long to import, and few exports are compared.

  scores, changed = before["score"].astype(np.float64), after["score"].astype(np.float64)
  score_changes = np.abs(changed - scores) / np.std(scores)
  logit_changes = np.abs(after["logits"] - before["logits"]).max(axis=0)
  return PrecisionChange(
    examples=len(scores),
    largest_score_change=float(score_changes.max()),
    mean_score_change=float(score_changes.mean()),
    kendall_tau=float(stats.kendalltau(scores, changed).statistic),
    largest_logit_changes=dict(zip(tasks, logit_changes.tolist())),
  )


def require_small(change: PrecisionChange, section: ExportPrecision) -> None:
  """Compares a change with the bounds of `export`.

  Raises:
    PrecisionError: it is beyond one of them, or no number.
  """
  found = []
  if not change.largest_score_change <= section.max_score_change:
    found.append(
      f"a score that changes by {change.largest_score_change:.4g} standard deviations, allowed: at "
      f"most export.max_score_change = {section.max_score_change:g}"
    )
  if not change.kendall_tau >= section.min_kendall_tau:
    found.append(
      f"Kendall's tau {change.kendall_tau:.6f}, allowed: at least export.min_kendall_tau = "
      f"{section.min_kendall_tau:g}"
    )
  if found:
    raise PrecisionError(
      f"export.precision: {section.precision} with products in {section.matmul_precision} changes "
      f"the scores too much, nothing is exported; found {'; and '.join(found)}. Export with more "
      "bits, or set other bounds"
    )


def format_change(change: PrecisionChange) -> str:
  """Returns the change as text, with a row a task."""
  rows = [(task, f"{value:.2e}") for task, value in change.largest_logit_changes.items()]
  return (
    f"{change.examples} examples, compared with float32: scores change by at most "
    f"{change.largest_score_change:.4f} and on average {change.mean_score_change:.5f} standard "
    f"deviations, Kendall's tau is {change.kendall_tau:.6f}\n"
    + tabulate(rows, ("task", "largest change of the logit"), disable_numparse=True)
  )

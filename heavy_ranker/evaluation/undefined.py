"""Why a metric has no value."""

import math
from collections.abc import Mapping
from typing import Optional

_NEED_BOTH = (
  "relative_cross_entropy",
  "normalized_relative_cross_entropy",
  "auroc",
  "average_precision",
)


def reasons(values: Mapping[str, float], no_users: Optional[str] = None) -> dict[str, str]:
  """Returns why each metric that is NaN is so.

  Args:
    values: metric -> value of one task, `examples` and `positives` among them.
    no_users: why examples have no user; None if they have.
  """
  examples, positives = values["examples"], values["positives"]
  return {
    name: _reason(name, examples, positives, no_users)
    for name, value in values.items()
    if not math.isfinite(value)
  }


def _reason(name: str, examples: float, positives: float, no_users: Optional[str]) -> str:
  if name == "grouped_auc" and no_users is not None:
    return no_users
  if not examples:
    return "there are no examples"
  if name in (*_NEED_BOTH, "predicted_to_actual_ratio") and not positives:
    return "no example is positive"
  if name in _NEED_BOTH and positives == examples:
    return "no example is negative"
  if name == "grouped_auc":
    return "no user has both a positive and a negative example"
  if name == "normalized_relative_cross_entropy":
    return "every prediction is 0"
  return "the values are too large or too small to compute it"

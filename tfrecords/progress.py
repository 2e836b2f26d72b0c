"""Progress bars with time left, for anything that takes more than a few seconds."""

import sys
from collections.abc import Iterable
from typing import Optional

from tqdm import tqdm


def progress_bar(
  total: Optional[int] = None,
  description: str = "",
  unit: str = "it",
  initial: int = 0,
  iterable: Optional[Iterable] = None,
) -> tqdm:
  """Returns a progress bar on standard error, silent unless a person looks at it.

  Args:
    total: how many units there are; None when unknown.
    description: what is going on, such as "training".
    unit: what is counted, such as "step"; "B" (bytes) is shown with prefixes such as M.
    initial: units already done before this run.
    iterable: wrapped when given, one unit an element.
  """
  return tqdm(
    iterable,
    total=total,
    desc=description,
    unit=unit,
    unit_scale=unit == "B",
    initial=initial,
    dynamic_ncols=True,
    smoothing=0.1,
    leave=False,
    disable=not sys.stderr.isatty(),
  )

"""Labels of a block, and which of its rows downsampling keeps."""

from collections.abc import Mapping
from typing import Optional

import numpy as np
import pyarrow as pa

from tfrecords.errors import ConfigError
from tfrecords.ingestion.block import Block
from tfrecords.ingestion.layout import Layout


class Labeler:
  """Evaluates the labels' expressions.

  Args:
    layout: its labels.
  """

  def __init__(self, layout: Layout):
    self._layout = layout

  def has_labels(self, block: Block) -> bool:
    """Tells whether the block's file has all columns that labels are made of."""
    return not block.absent & self._layout.label_columns

  def __call__(self, block: Block) -> dict[str, np.ndarray]:
    """Returns each task's labels, 0 and 1 of int64 [rows].

    Raises:
      DataError: a missing value leaves a label open; names the row.
      ConfigError: an expression does not fit the columns' types.
    """
    return {task: self._label(task, block) for task in self._layout.labels}

  def _label(self, task: str, block: Block) -> np.ndarray:
    expression = self._layout.labels[task]
    try:
      answer = expression(block)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
      raise ConfigError(
        f"labels.{task}: {expression.text!r} does not fit the columns' types: {error}"
      ) from None
    if answer.null_count:
      row = int(np.argmax(answer.is_null().to_numpy(zero_copy_only=False)))
      held = {name: block.column(name)[row].as_py() for name in expression.columns}
      raise block.row_error(
        row,
        f"label {task}: {expression.text!r} has no answer where {held}, allowed: true or false. "
        "Say what a missing value means, such as: present(x) and x > 0",
      )
    return answer.to_numpy(zero_copy_only=False).astype(np.int64)


def kept(
  labels: Mapping[str, np.ndarray], rates: Mapping[str, float], drawn: np.ndarray
) -> np.ndarray:
  """Tells which rows downsampling keeps, bool [rows].

  Args:
    labels: 0 and 1 [rows] by task.
    rates: task -> the share of its negatives to keep.
    drawn: uniform in [0, 1), [rows].
  """
  chance: Optional[np.ndarray] = None
  for task, rate in rates.items():
    own = np.where(labels[task] == 1, 1.0, rate)
    chance = own if chance is None else np.maximum(chance, own)
  return np.ones(len(drawn), bool) if chance is None else drawn < chance

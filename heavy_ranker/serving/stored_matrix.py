"""A matrix of weights in fewer bits."""

from dataclasses import dataclass
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.config.export_precision import Precision
from tfrecords.errors import CheckpointError

_LARGEST = 127  # Of int8, and of its opposite: -128 is left out, so that 0 is in the middle.


@dataclass(frozen=True)
class StoredMatrix:
  """What stands for a float32 matrix W in an export.

  Variables rather than constants: TensorFlow expands constants when it loads a graph, as far as it
  pleases, and file and memory are to stay small.

  Attributes:
    values: [rows, columns]: W rounded to bfloat16, or int8.
    scales: for int8, float32 [1, columns] or [rows, 1]: W is about values * scales.
  """

  values: tf.Variable
  scales: Optional[tf.Variable] = None

  @property
  def variables(self) -> list[tf.Variable]:
    """The variables there are."""
    return [self.values] if self.scales is None else [self.values, self.scales]


def store(matrix: tf.Variable, precision: Precision, by_row: bool) -> StoredMatrix:
  """Rounds a matrix.

  Args:
    matrix: float32 [rows, columns].
    precision: bfloat16 (to nearest, ties to even) or int8 (symmetric, see `quantize`).
    by_row: for int8, a scale a row, as an embedding table needs whose rows have lengths of their
      own, instead of one a column, which is an output of a dense layer.

  Raises:
    CheckpointError: the matrix holds values that are not finite.
  """
  values, name = matrix.numpy(), matrix.name.split(":")[0]
  if not np.isfinite(values).all():
    raise CheckpointError(
      f"{name}: found values that are not finite, allowed: finite ones in an export of precision "
      f"{precision}. Use another checkpoint with --checkpoint=PATH"
    )
  if precision == "bfloat16":
    rounded = tf.cast(values, tf.bfloat16)
    return StoredMatrix(tf.Variable(rounded, trainable=False, name=f"{name}/bfloat16"))
  integers, scales = quantize(values, axis=1 if by_row else 0)
  return StoredMatrix(
    tf.Variable(integers, trainable=False, name=f"{name}/int8"),
    tf.Variable(scales, trainable=False, name=f"{name}/scales"),
  )


def quantize(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
  """Rounds to multiples of a scale: the largest magnitude along `axis` becomes 127.

  Args:
    values: float32 [rows, columns], finite.
    axis: what shares a scale: 0 for a column, 1 for a row.

  Returns:
    int8 [rows, columns] and the scales, float32, 1 along `axis`. Their product is within half a
    scale of the values; where all are 0 (or too small for a scale) it is 0.
  """
  scales = np.abs(values).max(axis=axis, keepdims=True) / np.float32(_LARGEST)
  scales = np.where(scales < np.finfo(np.float32).tiny, np.float32(0), scales)
  divisors = np.where(scales == 0, np.float32(np.inf), scales)
  return np.rint(values / divisors).astype(np.int8), scales

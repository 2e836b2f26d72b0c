"""Float columns that are whole numbers in disguise: counts, and multiples of 1/64 or 0.01."""

import numpy as np

# Powers of two come first: they lose nothing.
DIVISORS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 10, 100, 1000)
_WHOLE_BELOW = 1 << 24  # Whole numbers that float32 holds exactly.
_SAMPLED_ROWS = 32
# One value in so many may be an exception rather than decide on the others.
_FEW = 32
# How many of the smallest values to leave out, when a window of few steps is laid over a column.
_LEFT_OUT = (0, 1, 2, 4, 8, 16)


class Steps:
  """Columns as whole numbers over a divisor, as far as that gives values back to the last bit.

  Args:
    columns: float32 [width, rows].

  Attributes:
    divisor: float32 [width].
    whole: float32 [width, rows], NaN for values that are none, -0.0 among them.
  """

  def __init__(self, columns: np.ndarray):
    rows = columns.shape[1]
    sample = columns[:, :: -(-rows // _SAMPLED_ROWS)]
    self.divisor = _best_divisor(sample)
    self.whole = _whole(columns, self.divisor)
    # The sample may have held nothing but zeros.
    left = np.flatnonzero(np.isnan(self.whole).any(axis=1))
    self.divisor[left] = _best_divisor(columns[left])
    self.whole[left] = _whole(columns[left], self.divisor[left])
    self._ordered = np.sort(self.whole, axis=1)  # NaN comes last.

  def window(self, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lays a window of `size` whole numbers over each column, so that few values lie outside.

    Returns:
      The smallest number of each window, float32 [width], and how many values lie outside, [width].
    """
    ordered = self._ordered
    rows = ordered.shape[1]
    firsts = np.nan_to_num(ordered[:, [min(number, rows - 1) for number in _LEFT_OUT]])
    inside = [
      ((ordered >= first) & (ordered < first + size)).sum(axis=1)
      for first in firsts.T[:, :, np.newaxis]
    ]
    best = np.argmax(inside, axis=0)
    columns = np.arange(len(ordered))
    return firsts[columns, best], rows - np.array(inside)[best, columns]


def _best_divisor(columns: np.ndarray) -> np.ndarray:
  """Returns the first divisor that suits about as many values as the best one, [width]."""
  counts = [
    np.isfinite(_whole(columns, np.full(len(columns), divisor, np.float32))).sum(axis=1)
    for divisor in DIVISORS
  ]
  is_good = counts >= np.max(counts, axis=0) - columns.shape[1] // _FEW
  return np.float32(DIVISORS)[np.argmax(is_good, axis=0)]


def _whole(columns: np.ndarray, divisor: np.ndarray) -> np.ndarray:
  """Returns columns times divisor where that is whole and leads back, NaN elsewhere."""
  with np.errstate(over="ignore", invalid="ignore"):
    whole = np.rint(columns * divisor[:, np.newaxis])
    is_exact = np.abs(whole) < _WHOLE_BELOW
    is_exact &= _bits(whole / divisor[:, np.newaxis]) == _bits(columns)
    # -0.0 is none: adding a base to a step cannot give it.
    return np.where(is_exact & (_bits(whole) != _bits(np.float32(-0.0))), whole, np.nan)


def _bits(values: np.ndarray) -> np.ndarray:
  return values.view(np.uint32)

"""A sample of records without replacement, of bounded size, however many there are."""

import threading
from collections.abc import Mapping

import numpy as np

# Odd constants of splitmix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number
# Generators, 2014).
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mix(numbers: np.ndarray) -> np.ndarray:
  """Returns well-mixed uint64 of uint64, one to one; any shape."""
  with np.errstate(over="ignore"):
    mixed = numbers + np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX_1)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX_2)
    return mixed ^ (mixed >> np.uint64(31))


class RowSample:
  """The rows whose file and place hash lowest: the same whatever the order they come in.

  Safe to use from several threads.

  Args:
    capacity: how many rows at most.
  """

  def __init__(self, capacity: int):
    self._capacity = capacity
    self._lock = threading.Lock()
    self._largest = np.uint64(2**64 - 1)
    self._keys: list[np.ndarray] = []
    self._rows: list[dict[str, np.ndarray]] = []
    self._n_kept = 0

  def add(self, file: int, positions: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    """Offers rows; each may be offered once.

    Args:
      file: the number of their file.
      positions: their places in the file, int64 [n].
      columns: values by feature, each [n, length].
    """
    keys = mix(mix(positions.astype(np.uint64)) ^ np.uint64(file))
    with self._lock:
      chosen = np.flatnonzero(keys <= self._largest)
      if not len(chosen):
        return
      self._keys.append(keys[chosen])
      self._rows.append({name: values[chosen] for name, values in columns.items()})
      self._n_kept += len(chosen)
      if self._n_kept >= 2 * self._capacity:
        self._compact()

  def columns(self) -> dict[str, np.ndarray]:
    """Returns the sample, [rows, length] by feature; nothing when nothing was offered."""
    with self._lock:
      if self._keys:
        self._compact()
      return dict(self._rows[0]) if self._rows else {}

  def _compact(self) -> None:
    keys = np.concatenate(self._keys)
    order = np.argsort(keys, kind="stable")[: self._capacity]
    names = list(self._rows[0])
    kept = {name: np.concatenate([rows[name] for rows in self._rows])[order] for name in names}
    self._keys, self._rows, self._n_kept = [keys[order]], [kept], len(order)
    if len(order) == self._capacity:
      self._largest = self._keys[0][-1]

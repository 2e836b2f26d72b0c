"""Every example up to a bound; beyond it, all the examples of some of the users."""

import numpy as np

_HASH_BITS = 64
_SEED = np.uint64(0x9E3779B97F4A7C15)


class ExampleStore:
  """Keeps examples in memory, at most `max_examples` of them.

  When they become too many, half of the users stay with all their examples, and so on. Who stays
  is decided by a hash of the user alone, whatever the order of the examples.

  Args:
    num_tasks: how many tasks.
    num_strata: how many strata.
    max_examples: the bound.

  Attributes:
    halvings: how often the users were halved; 0 while every example is there.
  """

  def __init__(self, num_tasks: int, num_strata: int, max_examples: int):
    self._num_tasks, self._num_strata = num_tasks, num_strata
    self._max_examples = max_examples
    # Of each: keys [tasks, n], scores [n], units [n], strata [strata, n].
    self._blocks: list[tuple[np.ndarray, ...]] = []
    self._size = 0
    self.halvings = 0

  def __len__(self) -> int:
    return self._size

  def add(
    self, keys: np.ndarray, scores: np.ndarray, units: np.ndarray, strata: np.ndarray
  ) -> None:
    """Adds examples.

    Args:
      keys: predictions and labels, see `prediction_keys`, uint32 [n, tasks].
      scores: float32 [n].
      units: whose examples they are, int64 [n]: the user, or a number of its own for each example.
      strata: which strata they belong to, bool [strata, n].
    """
    block = (np.ascontiguousarray(keys.T), scores, units, strata)
    self._append(self._kept(block) if self.halvings else block)
    while self._size > self._max_examples and self.halvings < _HASH_BITS:
      self.halvings += 1
      blocks, self._blocks, self._size = self._blocks, [], 0
      for stored in blocks:
        self._append(self._kept(stored))

  def _append(self, block: tuple[np.ndarray, ...]) -> None:
    if block[2].size:
      self._blocks.append(block)
      self._size += block[2].size

  def _kept(self, block: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    if self.halvings >= _HASH_BITS:
      chosen = np.zeros(block[2].size, bool)
    else:
      chosen = hashes(block[2]) >> np.uint64(_HASH_BITS - self.halvings) == 0
    return tuple(values[..., chosen] for values in block)

  def keys(self, task: int) -> np.ndarray:
    """Returns the keys of a task's index, uint32 [n]."""
    return _joined([block[0][task] for block in self._blocks], np.uint32)

  def scores(self) -> np.ndarray:
    """Returns the scores, float32 [n]."""
    return _joined([block[1] for block in self._blocks], np.float32)

  def units(self) -> np.ndarray:
    """Returns whose examples they are, int64 [n]."""
    return _joined([block[2] for block in self._blocks], np.int64)

  def stratum(self, index: int) -> np.ndarray:
    """Returns which examples belong to a stratum, bool [n]."""
    return _joined([block[3][index] for block in self._blocks], bool)


def hashes(units: np.ndarray) -> np.ndarray:
  """Returns evenly spread 64-bit hashes of integers (the finalizer of SplitMix64), uint64 [n].

  Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
  """
  values = units.astype(np.int64).view(np.uint64) + _SEED
  values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return values ^ (values >> np.uint64(31))


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
  return np.concatenate(parts) if parts else np.zeros(0, dtype)

"""Scores batches side by side, and hands on what comes out in the batches' order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

# TensorFlow shares all cores among its kernels already; the second batch fills their gaps.
_THREADS = max(1, min(2, os.cpu_count() or 1))

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def in_threads(
  score: Callable[[Batch, int], Result], batches: Iterable[Batch], size: int
) -> Iterator[Result]:
  """Yields what a function makes of each batch, in their order. Few batches are in memory at once.

  Args:
    score: of a batch and the place of its first row; called in threads.
    batches: of consecutive rows.
    size: rows of each of them but the last one.
  """
  with ThreadPoolExecutor(_THREADS) as threads:
    pending: deque[Future] = deque()
    for number, batch in enumerate(batches):
      pending.append(threads.submit(score, batch, number * size))
      if len(pending) > _THREADS:
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()

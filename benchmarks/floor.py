"""What this machine can do at best, measured in the same run as what is compared with it.

Every figure is that of the machine as it is at that moment: other work on it makes the floor lower
and what stands on it, too, so that the share of one in the other still says something.
"""

import gzip
import os
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Callable

import numpy as np
import tensorflow as tf

_MATRIX_SIZE = 2048
_BANDWIDTH_BYTES = 192_000_000
_BLOCK_BYTES = 1 << 20
_WARM_UP = 2


def matmul_gflops(size: int = _MATRIX_SIZE, repeats: int = 9) -> float:
  """Returns the rate of a float32 product of two square matrices, in 10^9 operations a second.

  Args:
    size: rows and columns.
    repeats: the result is the median of so many products.
  """
  matrix = tf.Variable(tf.random.stateless_uniform([size, size], seed=[1, 2]))
  product = tf.function(lambda: tf.matmul(matrix, matrix), autograph=False)
  return 2 * size**3 / median_seconds(lambda: product().numpy(), repeats) / 1e9


def memory_bandwidth_gb_per_second(
  num_bytes: int = _BANDWIDTH_BYTES, threads: int = 0, repeats: int = 9
) -> float:
  """Returns how fast float32 values can be read from memory, in 10^9 bytes a second.

  What is read is larger than any cache: the default is what the weights of the production model
  take. It is added up, in as many threads as TensorFlow computes in.

  Args:
    num_bytes: how much is read.
    threads: how many threads share it; 0 for a thread a core.
    repeats: the result is the median of so many passes.
  """
  threads = threads or len(os.sched_getaffinity(0))
  parts = np.array_split(np.ones(num_bytes // 4, np.float32), threads)
  return num_bytes / median_seconds(lambda: _in_threads(parts), repeats) / 1e9


def gzip_mb_per_second(path: str) -> float:
  """Returns how fast one thread decompresses a gzip file, in 10^6 bytes of content a second.

  Args:
    path: the file; it is read once before, so that it comes from memory.
  """
  return _reading_rate(path, lambda: gzip.open(path, "rb"))


def raw_mb_per_second(path: str) -> float:
  """Returns how fast one thread reads a file as it is, in 10^6 bytes a second.

  Args:
    path: the file; it is read once before, so that it comes from memory.
  """
  return _reading_rate(path, lambda: open(path, "rb", buffering=0))  # noqa: SIM115 - closed there.


def median_seconds(call: Callable[[], object], repeats: int) -> float:
  """Returns the median time of a call, after a few that are not counted."""
  return statistics.median(call_seconds(call, repeats))


def call_seconds(call: Callable[[], object], repeats: int) -> list[float]:
  """Returns the time of each of so many calls, after a few that are not counted."""
  for _ in range(_WARM_UP):
    call()
  taken = []
  for _ in range(repeats):
    started = time.perf_counter()
    call()
    taken.append(time.perf_counter() - started)
  return taken


def _reading_rate(path: str, open_file: Callable) -> float:
  with open(path, "rb") as file:
    while file.read(_BLOCK_BYTES):
      pass
  size = 0
  started = time.perf_counter()
  with open_file() as file:
    while block := file.read(_BLOCK_BYTES):
      size += len(block)
  return size / (time.perf_counter() - started) / 1e6


def _in_threads(parts: Sequence[np.ndarray]) -> None:
  workers = [threading.Thread(target=part.sum) for part in parts]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()

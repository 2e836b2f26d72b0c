"""TensorFlow Serving's parameters of request batching."""

import os
from dataclasses import dataclass, field

from heavy_ranker.serving.server import text_protos
from tfrecords.errors import ConfigError

_BOUNDS = {
  "max_batch_size": (1, 10**6),
  "batch_timeout_micros": (0, 10**9),
  "max_enqueued_batches": (1, 10**6),
  "num_batch_threads": (1, 1000),
}


@dataclass(frozen=True)
class BatchingParameters:
  """How requests are joined; names, meanings and defaults are TensorFlow Serving's.

  Attributes:
    max_batch_size: examples in one run; a larger request runs alone.
    batch_timeout_micros: how long the first request waits for others, in microseconds.
    max_enqueued_batches: batches of a signature that wait at most.
    num_batch_threads: batches that run at the same time.
    allowed_batch_sizes: when given, batches are filled up to the next of these.
  """

  max_batch_size: int = 1000
  batch_timeout_micros: int = 0
  max_enqueued_batches: int = 10
  num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
  allowed_batch_sizes: tuple[int, ...] = ()

  def padded_size(self, size: int) -> int:
    """Returns how many examples a batch of `size` runs with."""
    return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


def read_batching_parameters(path: str) -> BatchingParameters:
  """Reads --batching_parameters_file; without one, everything is as by default.

  Raises:
    StorageError: the file cannot be read.
    ConfigError: it holds something else; the message names the field.
  """
  if not path:
    return BatchingParameters()
  proto = text_protos.read(path, text_protos.BatchingParameters(), "--batching_parameters_file")
  given = {}
  for name, (lowest, highest) in _BOUNDS.items():
    if proto.HasField(name):
      given[name] = getattr(proto, name).value
      if not lowest <= given[name] <= highest:
        raise ConfigError(f"{path}: {name}: found {given[name]}, allowed: {lowest} to {highest}")
  if proto.pad_variable_length_inputs:
    raise ConfigError(f"{path}: pad_variable_length_inputs: found true, allowed: false")
  parameters = BatchingParameters(**given, allowed_batch_sizes=tuple(proto.allowed_batch_sizes))
  _check_allowed_sizes(path, parameters)
  return parameters


def _check_allowed_sizes(path: str, parameters: BatchingParameters) -> None:
  sizes = parameters.allowed_batch_sizes
  if not sizes:
    return
  ascending = all(smaller < larger for smaller, larger in zip((0, *sizes), sizes))
  if not ascending or sizes[-1] != parameters.max_batch_size:
    raise ConfigError(
      f"{path}: allowed_batch_sizes: found {list(sizes)}, allowed: ascending numbers, the last of "
      f"which is max_batch_size ({parameters.max_batch_size})"
    )

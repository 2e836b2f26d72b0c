"""What a model asks of a machine, and how long the machine takes for that at best."""

from collections.abc import Mapping
from dataclasses import dataclass

import tf_keras as keras

from benchmarks import floor

# Adam reads weight, gradient and both moments, and writes all of them but the gradient.
_OPTIMIZER_BYTES = 28
# The backward pass multiplies each matrix twice more: with its inputs and for its inputs.
_PASSES = 3


@dataclass(frozen=True)
class Machine:
  """The machine's own rates, see `benchmarks.floor`.

  Attributes:
    matmul_gflops: 10^9 float32 operations a second.
    memory_gb_per_second: 10^9 bytes read from memory a second.
  """

  matmul_gflops: float
  memory_gb_per_second: float

  @classmethod
  def measure(cls) -> "Machine":
    """Measures them now."""
    return cls(floor.matmul_gflops(), floor.memory_bandwidth_gb_per_second())


@dataclass(frozen=True)
class Work:
  """What a dense model asks for.

  Attributes:
    parameters: trainable numbers.
    matrix_elements: those of them that are in matrices, each of which every example multiplies.
  """

  parameters: int
  matrix_elements: int

  @classmethod
  def of(cls, ranker: keras.Model) -> "Work":
    """Counts them; a table that is only looked up counts as a matrix, so dense models only."""
    shapes = [weight.shape for weight in ranker.trainable_weights]
    matrices = [shape for shape in shapes if shape.rank == 2]
    return cls(*(sum(shape.num_elements() for shape in each) for each in (shapes, matrices)))

  def scoring_seconds(self, batch_size: int, machine: Machine) -> float:
    """Returns the least time of a forward pass: all products, or reading all weights."""
    computing = batch_size * self._forward_gflop / machine.matmul_gflops
    reading = 4 * self.parameters / 1e9 / machine.memory_gb_per_second
    return max(computing, reading)

  def training_seconds(self, batch_size: int, machine: Machine) -> float:
    """Returns the least time of a step: all products, then the optimizer's traffic."""
    computing = _PASSES * batch_size * self._forward_gflop / machine.matmul_gflops
    updating = _OPTIMIZER_BYTES * self.parameters / 1e9 / machine.memory_gb_per_second
    return computing + updating

  def describe(self) -> Mapping[str, float]:
    """Returns the figures for people, as plain data."""
    return {
      "parameters": self.parameters,
      "forward_mflop_per_example": round(self._forward_gflop * 1e3, 1),
    }

  @property
  def _forward_gflop(self) -> float:
    return 2 * self.matrix_elements / 1e9

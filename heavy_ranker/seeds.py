"""One seed of a run -> a seed of its own for everything that draws random numbers."""

import zlib


def derive_seed(seed: int, name: str) -> int:
  """Returns a seed that depends on the run's seed and on what it is for, and on nothing else.

  Args:
    seed: the run's seed.
    name: what the seed is for, such as a layer's name.

  Returns:
    A number from 0 to 2**31 - 1.
  """
  return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF

"""Independent random streams by name: what one stream draws never depends on another."""

import zlib

import numpy as np


def stream(seed: int, name: str, block: int = 0) -> np.random.Generator:
  """Returns the random generator of one named quantity in one block of records.

  Blocks and names can be drawn in any order, so that record i is a function of the seed and i,
  and a feature keeps its values when others come or go.

  Args:
    seed: at least 0.
    name: what is drawn, such as a feature's name.
    block: which block of records it is drawn for, at least 0.
  """
  key = (zlib.crc32(name.encode()), block)
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))

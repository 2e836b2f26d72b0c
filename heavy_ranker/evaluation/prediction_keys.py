"""A prediction and its label in one 32-bit integer that sorts as the prediction does.

The bits of a float32 in [0, 1] rise with its value and take 30 bits. The label goes below them, so
that sorting keys alone, without their positions, is enough for every metric of a task.
"""

import numpy as np

BITS = 31


def encode(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the keys, uint32 of the arguments' shape.

  Args:
    probabilities: predictions in [0, 1]; kept as float32.
    labels: 0 or 1, of the same shape.
  """
  # Adding 0 turns -0, whose sign bit would sort above all, into 0.
  bits = np.ascontiguousarray(probabilities, np.float32) + np.float32(0)
  return (bits.view(np.uint32) << np.uint32(1)) | labels.astype(np.uint32)


def probabilities_of(keys: np.ndarray) -> np.ndarray:
  """Returns the predictions in keys, float32."""
  return (keys >> np.uint32(1)).view(np.float32)


def labels_of(keys: np.ndarray) -> np.ndarray:
  """Returns the labels in keys, bool."""
  return (keys & np.uint32(1)).astype(bool)

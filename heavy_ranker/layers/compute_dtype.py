"""Products in fewer bits while training: which layers compute in which dtype."""

from collections.abc import Iterator
from contextlib import contextmanager

import tf_keras as keras


@contextmanager
def computing_in(dtype: str) -> Iterator[None]:
  """A context in which layers are made that compute in a dtype, with float32 variables.

  It sets Keras's global policy. What must not lose bits asks for float32 itself: norms, gates,
  affine maps, and dense layers of one unit, whose output is a logit.

  Args:
    dtype: float32, float16 or bfloat16.
  """
  before = keras.mixed_precision.global_policy()
  keras.mixed_precision.set_global_policy(dtype if dtype == "float32" else f"mixed_{dtype}")
  try:
    yield
  finally:
    keras.mixed_precision.set_global_policy(before)

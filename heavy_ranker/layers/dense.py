"""Dense layers as the ranker initializes them: Glorot uniform kernels, zero biases."""

from typing import Optional

import tf_keras as keras

from heavy_ranker.seeds import derive_seed


def dense(units: int, name: str, seed: int, activation: Optional[str] = None) -> keras.layers.Dense:
  """Returns a Dense layer whose initial kernel depends on nothing but its seed and name.

  Args:
    units: width of the output.
    name: the layer's name within its parent.
    seed: the parent's seed; siblings differ by name.
    activation: a Keras activation's name, or None.
  """
  initializer = keras.initializers.GlorotUniform(seed=derive_seed(seed, name))
  # One unit is a logit, and a product that small gains nothing from fewer bits.
  dtype = "float32" if units == 1 else None
  return keras.layers.Dense(
    units, activation, kernel_initializer=initializer, name=name, dtype=dtype
  )

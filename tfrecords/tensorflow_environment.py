"""What must be settled before TensorFlow is first imported.

Both packages call `prepare` from their `__init__`, so that importing either of them before
TensorFlow is enough. Each variable keeps the value the user gave it, but for the Keras switch:
the project is built on Keras 2 and cannot work on any other.
"""

import os
import sys

_DEFAULTS = {
  # C++ chatter (device probing, CPU instruction sets) hides the lines a person should read;
  # errors still arrive as Python exceptions. Set to 0 to see everything.
  "TF_CPP_MIN_LOG_LEVEL": "3",
  # oneDNN's matrix kernels are off by default on some processors, and nearly twice as fast.
  "TF_ENABLE_ONEDNN_OPTS": "1",
}


def prepare() -> None:
  """Selects Keras 2 for `tf.keras` and quiets TensorFlow's start-up messages.

  Raises:
    ImportError: TensorFlow is already imported and bound to Keras 3.
  """
  os.environ["TF_USE_LEGACY_KERAS"] = "1"
  for name, value in _DEFAULTS.items():
    os.environ.setdefault(name, value)
  if "tensorflow" not in sys.modules:
    return
  import tensorflow as tf
  import tf_keras

  if tf.keras.layers.Layer is not tf_keras.layers.Layer:
    raise ImportError(
      "tf.keras is already bound to Keras 3, and this project needs Keras 2 (tf-keras). Import "
      "heavy_ranker or tfrecords before tensorflow, or set TF_USE_LEGACY_KERAS=1 for the process."
    )

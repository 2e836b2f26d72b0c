"""Two logical CPUs in the process of a test, and strategies over them."""

import functools

import pytest
import tensorflow as tf


def set_up() -> None:
  """Splits the CPU in two, or skips where TensorFlow has started already."""
  cpu = tf.config.list_physical_devices("CPU")[0]
  try:
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
  except RuntimeError:
    pytest.skip("TensorFlow has started with one device; run this file alone, as Bazel does")


# One of a kind: two strategies over the same devices number their messages alike and mix them up.
@functools.lru_cache
def strategy(*devices: str) -> tf.distribute.MirroredStrategy:
  """Returns the strategy over these devices, always the same one."""
  return tf.distribute.MirroredStrategy(devices)

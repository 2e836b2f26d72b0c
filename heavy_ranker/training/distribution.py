"""The devices of one machine that train together."""

import tensorflow as tf

from tfrecords.errors import ConfigError


def make_strategy() -> tf.distribute.MirroredStrategy:
  """Returns a MirroredStrategy over all GPUs, or over the CPU where there is none.

  Several logical CPU devices, when configured, count as several replicas.
  """
  devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
  specs = [tf.DeviceSpec.from_string(device.name) for device in devices]
  # In a cluster the devices of all workers are listed: what one does alone is on its own.
  names = dict.fromkeys(f"{spec.device_type}:{spec.device_index}" for spec in specs)
  return tf.distribute.MirroredStrategy(list(names))


def examples_per_replica(global_batch_size: int, replicas: int, key: str) -> int:
  """Returns the part of a global batch one replica gets.

  Raises:
    ConfigError: the batch cannot be divided evenly.
  """
  if global_batch_size % replicas:
    raise ConfigError(
      f"{key}: found {global_batch_size}, allowed: a multiple of {replicas}, the number of "
      "replicas (GPUs) that share it"
    )
  return global_batch_size // replicas

"""Seeds that depend on the run's seed, the step and the replica only, so that a run can resume."""

import tensorflow as tf
import tf_keras as keras


def add_call_counter(layer: keras.layers.Layer) -> tf.Variable:
  """Adds `calls` to a layer: the number of its training calls, int64, saved with the model."""
  return layer.add_weight(
    "calls",
    (),
    dtype=tf.int64,
    initializer="zeros",
    trainable=False,
    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
  )


def next_seed(calls: tf.Variable, seed: int) -> tf.Tensor:
  """Returns the seed of this training call, int64 [2], for TensorFlow's stateless functions.

  A run that is restored from a checkpoint continues with the seeds it would have used. Replicas
  have seeds of their own.

  Args:
    calls: from `add_call_counter`; counts one up.
    seed: the layer's seed.
  """
  context = tf.distribute.get_replica_context()
  replica = 0 if context is None else context.replica_id_in_sync_group
  call = tf.identity(calls)
  with tf.control_dependencies([call]):
    calls.assign_add(1)
  return tf.random.experimental.stateless_fold_in(
    tf.stack([tf.cast(seed, tf.int64), call]), tf.cast(replica, tf.int64)
  )

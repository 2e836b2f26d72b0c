"""One tensor with a row a task -> a tensor a task."""

import tensorflow as tf
import tf_keras as keras


class Unstack(keras.layers.Layer):
  """Takes the tasks' mixtures apart."""

  def call(self, inputs: tf.Tensor) -> list[tf.Tensor]:
    """Maps [batch, tasks, width] to a list of [batch, width], one a task."""
    return tf.unstack(inputs, axis=1)

"""The loss: weighted binary cross entropy a task, averaged over the batch and over the tasks."""

import tensorflow as tf
import tf_keras as keras


class WeightedBinaryCrossentropy(keras.losses.Loss):
  """Binary cross entropy on logits whose positive term counts `pos_weight` times.

  -(pos_weight * y * log sigmoid(l) + (1 - y) * log(1 - sigmoid(l))), an example each; summed over
  the examples (with their weights), so that replicas can add up and divide by the global batch.

  Args:
    pos_weight: factor of the positive term, above 0.
    name: the loss's name.
  """

  def __init__(self, pos_weight: float = 1.0, name: str = "weighted_binary_crossentropy"):
    super().__init__(reduction=keras.losses.Reduction.SUM, name=name)
    self._pos_weight = pos_weight

  def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Maps labels and logits [batch] to losses [batch]."""
    # tf.nn.weighted_cross_entropy_with_logits has a wrong gradient where a logit is exactly 0.
    positive = self._pos_weight * y_true * tf.math.softplus(-y_pred)
    return positive + (1.0 - y_true) * tf.math.softplus(y_pred)

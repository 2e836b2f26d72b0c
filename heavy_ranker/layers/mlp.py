"""A stack of dense layers."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import MlpConfig
from heavy_ranker.layers.batch_normalization import BatchNormalization
from heavy_ranker.layers.dense import dense
from heavy_ranker.layers.dropout import Dropout
from heavy_ranker.seeds import derive_seed


class Mlp(keras.layers.Layer):
  """Dense, optional batch norm, ReLU, optional dropout for each layer but the last.

  The last layer is dense, with a ReLU only if `final_layer_activation` is set.

  Args:
    config: layer sizes and options.
    seed: seed of initial kernels and dropout.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.

  Attributes:
    dense_layers: the dense layers, first to last.
    batch_norms: what normalizes the output of each dense layer but the last; None without.
  """

  def __init__(
    self,
    config: MlpConfig,
    seed: int,
    synchronize_batch_norm: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    self.config = config
    hidden = range(len(config.layer_sizes) - 1)
    self.dense_layers = [
      dense(size, f"dense_{index}", derive_seed(seed, "mlp"))
      for index, size in enumerate(config.layer_sizes)
    ]
    self.batch_norms: list[Optional[BatchNormalization]] = [
      BatchNormalization(
        config.batch_norm.momentum,
        config.batch_norm.affine,
        synchronize_batch_norm,
        name=f"batch_norm_{index}",
      )
      if config.batch_norm
      else None
      for index in hidden
    ]
    self._dropouts = [
      Dropout(config.dropout.rate, derive_seed(seed, f"dropout_{index}"), name=f"dropout_{index}")
      if config.dropout
      else None
      for index in hidden
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to [batch, layer_sizes[-1]]."""
    net = inputs
    for layer, norm, dropout in zip(self.dense_layers, self.batch_norms, self._dropouts):
      net = layer(net, training=training)
      if norm is not None:
        net = norm(net, training=training)
      net = tf.nn.relu(net)
      if dropout is not None:
        net = dropout(net, training=training)
    net = self.dense_layers[-1](net, training=training)
    return tf.nn.relu(net) if self.config.final_layer_activation else net

"""Raw feature values -> the network's input (`double_norm_log`)."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import DoubleNormLogConfig
from heavy_ranker.layers.batch_normalization import BatchNormalization
from heavy_ranker.layers.finite import make_safe, replace_non_finite
from heavy_ranker.layers.layer_normalization import LayerNormalization
from heavy_ranker.layers.signed_log import signed_log1p


class DoubleNormLog(keras.layers.Layer):
  """Signed log, batch norm and clip of the continuous features, then layer norm with the rest.

  Args:
    config: batch norm, clip magnitude, layer norm; either norm may be absent.
    synchronize_batch_norm: batch statistics over all replicas.
    name: the layer's name.

  Attributes:
    batch_norm, layer_norm: the two norms, or None.
  """

  def __init__(
    self,
    config: DoubleNormLogConfig,
    synchronize_batch_norm: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    batch_norm, layer_norm = config.batch_norm_config, config.layer_norm_config
    self._clip_magnitude = config.clip_magnitude
    self.batch_norm = batch_norm and BatchNormalization(
      batch_norm.momentum, batch_norm.affine, synchronize_batch_norm, name="batch_norm"
    )
    self.layer_norm = layer_norm and LayerNormalization(
      layer_norm.epsilon, layer_norm.center, layer_norm.scale, name="layer_norm"
    )

  def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:
    """Maps continuous [batch, n] and what joins it, [batch, m] each, to [batch, n + m + ...]."""
    continuous, *others = inputs
    net = signed_log1p(replace_non_finite(continuous))
    if self.batch_norm is not None:
      net = self.batch_norm(net, training=training)
    net = tf.clip_by_value(net, -self._clip_magnitude, self._clip_magnitude)
    net = tf.concat([net, *(make_safe(other) for other in others)], axis=-1)
    return net if self.layer_norm is None else self.layer_norm(net)

"""Deep and cross network, version 2 (Wang et al., arXiv 2008.13535)."""

from typing import Optional

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from heavy_ranker.config.model import DcnConfig
from heavy_ranker.layers.mlp import Mlp
from heavy_ranker.seeds import derive_seed


class DeepCrossNet(keras.layers.Layer):
  """Cross layers x_{k+1} = x_0 * (W_k x_k + b_k) + x_k, and an MLP beside or behind them.

  With `use_parallel` the MLP reads the input and its output is joined to the cross layers';
  otherwise it reads what the cross layers put out. The output MLP comes last. Each MLP may be
  absent.

  Args:
    config: number of cross layers (the polynomial degree), rank of W (`projection_dim`, full when
      absent), MLPs.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics of the MLPs over all replicas.
    name: the layer's name.

  Attributes:
    cross_layers: the cross layers in order.
    deep_mlp, output_mlp: the MLPs, or None.
  """

  def __init__(
    self,
    config: DcnConfig,
    seed: int,
    synchronize_batch_norm: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    self._use_parallel = config.use_parallel
    self.cross_layers = [
      tfrs.layers.dcn.Cross(
        projection_dim=config.projection_dim,
        kernel_initializer=keras.initializers.GlorotUniform(derive_seed(seed, f"cross_{index}")),
        name=f"cross_{index}",
      )
      for index in range(config.poly_degree)
    ]
    self.deep_mlp = config.parallel_mlp and Mlp(
      config.parallel_mlp, derive_seed(seed, "deep_mlp"), synchronize_batch_norm, name="deep_mlp"
    )
    self.output_mlp = config.output_mlp and Mlp(
      config.output_mlp, derive_seed(seed, "output_mlp"), synchronize_batch_norm, name="output_mlp"
    )

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to the width of the last part there is."""
    net = inputs
    for layer in self.cross_layers:
      net = layer(inputs, net)
    if self.deep_mlp is not None:
      if self._use_parallel:
        net = tf.concat([net, self.deep_mlp(inputs, training=training)], axis=-1)
      else:
        net = self.deep_mlp(net, training=training)
    return net if self.output_mlp is None else self.output_mlp(net, training=training)

"""MaskNet: instance-guided masks over the features (Wang et al., arXiv 2102.07619)."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import MaskBlockConfig, MaskNetConfig
from heavy_ranker.layers.dense import dense
from heavy_ranker.layers.layer_normalization import LayerNormalization
from heavy_ranker.layers.mlp import Mlp
from heavy_ranker.seeds import derive_seed


class MaskBlock(keras.layers.Layer):
  """LayerNorm(W3 (net * mask) + b3) with mask = W2 relu(W1 mask_input + b1) + b2.

  No activation follows the layer norm.

  Args:
    config: the block's sizes.
    seed: seed of the initial kernels.
    name: the layer's name.
  """

  def __init__(self, config: MaskBlockConfig, seed: int, name: Optional[str] = None):
    super().__init__(name=name)
    self._config, self._seed = config, seed

  def build(self, input_shape: tuple[tf.TensorShape, tf.TensorShape]) -> None:
    """Creates W1, W2, W3 for the widths of net and mask_input."""
    net_width, mask_width = (int(shape[-1]) for shape in input_shape)
    config = self._config
    aggregation_size = config.aggregation_size or max(1, int(mask_width * config.reduction_factor))
    self.aggregation = dense(aggregation_size, "aggregation", self._seed, activation="relu")
    self.mask = dense(net_width, "mask", self._seed)
    self.hidden = dense(config.output_size, "hidden", self._seed)
    self.output_norm = LayerNormalization(name="output_norm")
    self.input_norm = LayerNormalization(name="input_norm") if config.input_layer_norm else None
    super().build(input_shape)

  def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
    """Maps net [batch, n] and mask_input [batch, m] to [batch, output_size]."""
    net, mask_input = inputs
    if self.input_norm is not None:
      net = self.input_norm(net)
    mask = self.mask(self.aggregation(mask_input, training=training), training=training)
    masked = tf.cast(net, mask.dtype) * mask
    return self.output_norm(self.hidden(masked, training=training))


class MaskNet(keras.layers.Layer):
  """Mask blocks side by side or one after the other, then an optional MLP.

  Parallel: every block gets the input as net and mask_input, outputs are concatenated. Serial:
  block k's net is block k-1's output, the mask_input stays the input.

  Args:
    config: blocks, MLP, parallel or serial.
    seed: seed of everything inside.
    synchronize_batch_norm: batch statistics of the MLP over all replicas.
    name: the layer's name.

  Attributes:
    blocks: the MaskBlocks in order.
    mlp: the MLP after them, or None.
  """

  def __init__(
    self,
    config: MaskNetConfig,
    seed: int,
    synchronize_batch_norm: bool = True,
    name: Optional[str] = None,
  ):
    super().__init__(name=name)
    self._use_parallel = config.use_parallel
    self.blocks = [
      MaskBlock(block, derive_seed(seed, f"mask_block_{index}"), name=f"mask_block_{index}")
      for index, block in enumerate(config.mask_blocks)
    ]
    self.mlp = Mlp(config.mlp, seed, synchronize_batch_norm, name="mlp") if config.mlp else None

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps [batch, width] to the MLP's width, or else the blocks' (added up when parallel)."""
    if self._use_parallel:
      outputs = [block((inputs, inputs), training=training) for block in self.blocks]
      net = tf.concat(outputs, axis=-1)
    else:
      net = inputs
      for block in self.blocks:
        net = block((net, inputs), training=training)
    return net if self.mlp is None else self.mlp(net, training=training)

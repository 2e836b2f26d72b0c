"""Gates: for each example, how much every expert counts."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.seeds import derive_seed


class Gates(keras.layers.Layer):
  """softmax(W h + b) over the experts, h the input or what hidden ReLU layers make of it.

  The gates have weights of their own, so that a checkpoint fits by name when tasks come and go,
  but are computed together: one product a layer for all of them.

  Args:
    gates: a name for each gate, in order; also what its initial weights depend on.
    hidden_sizes: widths of the hidden layers, often none.
    num_experts: width of the softmax.
    seed: seed of the initial kernels.
    name: the layer's name.

  Attributes:
    kernels, biases: by layer, then by gate: [in, out] and [out].
  """

  def __init__(
    self,
    gates: Sequence[str],
    hidden_sizes: Sequence[int],
    num_experts: int,
    seed: int,
    name: str,
  ):
    super().__init__(name=name, dtype="float32")  # Whatever the layers around it compute in.
    self._gates, self._sizes, self._seed = list(gates), [*hidden_sizes, num_experts], seed

  def build(self, input_shape: tf.TensorShape) -> None:
    """Creates each gate's kernels (Glorot uniform) and biases (0)."""
    widths = [int(input_shape[-1]), *self._sizes]
    self.kernels, self.biases = [], []
    for index, (width, size) in enumerate(zip(widths, self._sizes)):
      names = [f"{gate}/dense_{index}" for gate in self._gates]
      self.kernels.append([self._kernel(name, width, size) for name in names])
      self.biases.append([self._bias(name, size) for name in names])
    super().build(input_shape)

  def _kernel(self, name: str, width: int, size: int) -> tf.Variable:
    initializer = keras.initializers.GlorotUniform(derive_seed(self._seed, name))
    return self.add_weight(name=f"{name}/kernel", shape=[width, size], initializer=initializer)

  def _bias(self, name: str, size: int) -> tf.Variable:
    return self.add_weight(name=f"{name}/bias", shape=[size], initializer="zeros")

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Maps [batch, width], or [batch, gates, width] with an input each, to [batch, gates, experts].

    What an example's gate gives its experts adds up to 1.
    """
    net = inputs
    for index, (kernels, biases) in enumerate(zip(self.kernels, self.biases)):
      net = net if index == 0 else tf.nn.relu(net)
      equation = "bi,gio->bgo" if net.shape.rank == 2 else "bgi,gio->bgo"
      net = tf.einsum(equation, net, tf.stack(kernels)) + tf.stack(biases)
    return tf.nn.softmax(net)

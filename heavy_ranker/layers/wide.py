"""The linear part beside the deep one (wide and deep, Cheng et al., arXiv 1606.07792)."""

from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.wide import WideConfig
from heavy_ranker.layers.embedding_table import rows_in_range


class Wide(keras.layers.Layer):
  """logits = dense @ kernel + sum over the tables of the value's row + bias, for all tasks at once.

  Everything starts at 0, but the bias once `heavy_ranker.training.data_fit` has set it.

  Args:
    config: tables and penalties.
    num_tasks: how many logits.
    name: the layer's name.

  Attributes:
    kernel: [width, tasks].
    tables: a matrix [num_embeddings + 1, tasks] for each table of the configuration.
    bias: [tasks].
  """

  def __init__(self, config: WideConfig, num_tasks: int, name: Optional[str] = None):
    super().__init__(name=name)
    self._config, self._num_tasks = config, num_tasks

  def build(self, input_shapes: list[tf.TensorShape]) -> None:
    """Creates kernel, tables and bias."""
    width = int(input_shapes[0][-1])
    self.kernel = self._add("kernel", width, self._config.l2)
    self.tables = [
      self._add(f"table_{table.index}", table.num_embeddings + 1, table.l2)
      for table in self._config.tables
    ]
    self.bias = self.add_weight("bias", (self._num_tasks,), initializer="zeros")
    super().build(input_shapes)

  def _add(self, name: str, rows: int, l2: float) -> tf.Variable:
    penalty = keras.regularizers.L2(l2) if l2 else None
    shape = (rows, self._num_tasks)
    return self.add_weight(name, shape, initializer="zeros", regularizer=penalty)

  def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
    """Maps dense [batch, n] and, where there are tables, discrete int64 [batch, m] to logits."""
    net = tf.matmul(inputs[0], self.kernel) + self.bias
    for table, section in zip(self.tables, self._config.tables):
      rows = rows_in_range(inputs[1][:, section.index], section.num_embeddings)
      net += tf.gather(table, rows)
    return net

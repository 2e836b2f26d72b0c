"""The ranker with its large matrices in fewer bits, for an export."""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.export_precision import ExportPrecision
from heavy_ranker.serving.stored_matrix import StoredMatrix, store
from heavy_ranker.serving.stored_reads import GATHER, READ, SCALES, consumers, read_stored
from tfrecords.errors import ConfigError

_ONLY_READ = ({READ}, {GATHER}, {READ, GATHER})


class LowPrecisionRanker:
  """Stands in for a ranker where it is only called: to trace signatures, and to compare.

  The ranker is traced once, and its graph rewritten: no layer knows of precisions, and what is
  not stored in fewer bits is computed as before.

  Args:
    ranker: the model from `build_model`, with its weights, which are copied.
    section: says which matrices are stored how.

  Attributes:
    input: the ranker's symbolic inputs by name.
    variables: what it computes with, in place of the ranker's.
    matrices: the stored matrices by the name of the ranker's variable.

  Raises:
    ConfigError: no matrix is large enough.
    CheckpointError: a matrix is not finite.
  """

  def __init__(self, ranker: keras.Model, section: ExportPrecision):
    self.input: Mapping[str, tf.Tensor] = ranker.input
    specs = {name: tf.TensorSpec(each.shape, each.dtype) for name, each in ranker.input.items()}
    traced = tf.function(
      lambda inputs: ranker(inputs, training=False), autograph=False
    ).get_concrete_function(specs)
    graph = traced.graph.as_graph_def()
    arguments = len(traced.inputs) - len(traced.captured_inputs)
    self._arguments = dict(zip(sorted(specs), _names(traced.inputs[:arguments])))
    captured = dict(zip(_names(traced.inputs[arguments:]), traced.captured_inputs))
    readers = consumers(graph)
    chosen = _large_matrices(readers, captured, ranker.variables, section.min_elements)
    stored = {
      node: store(matrix, section.precision, by_row=_is_looked_up(readers[node]))
      for node, matrix in chosen.items()
    }
    if not stored:
      raise ConfigError(
        f"export.precision: found {section.precision} for a model without a matrix of at least "
        f"export.min_elements = {section.min_elements} elements, allowed: float32, or a smaller "
        "export.min_elements"
      )
    self._graph = read_stored(graph, stored, tf.as_dtype(section.matmul_precision))
    self._captured = {**captured, **_handles(stored)}
    self._outputs = {name: tensor.name for name, tensor in traced.structured_outputs.items()}
    self.matrices = {chosen[node].name: matrix for node, matrix in stored.items()}
    replaced = {id(matrix) for matrix in chosen.values()}
    self.variables = [each for each in ranker.variables if id(each) not in replaced]
    self.variables += [each for matrix in stored.values() for each in matrix.variables]

  def __call__(
    self, inputs: Mapping[str, tf.Tensor], training: bool = False
  ) -> dict[str, tf.Tensor]:
    """Does what the ranker does outside training, within a tf.function."""
    if training or tf.executing_eagerly():
      raise ValueError("a LowPrecisionRanker is called within a tf.function, outside training")
    feeds = {node: inputs[name] for name, node in self._arguments.items()}
    # `identity` makes a tensor of this graph of each handle, which is not.
    feeds.update({node: tf.identity(tensor) for node, tensor in self._captured.items()})
    used = consumers(self._graph)
    found = tf.graph_util.import_graph_def(
      self._graph,
      input_map={f"{node}:0": tensor for node, tensor in feeds.items() if node in used},
      return_elements=list(self._outputs.values()),
      name="low_precision",
    )
    return dict(zip(self._outputs, found))


def _names(placeholders: list[tf.Tensor]) -> list[str]:
  return [placeholder.op.name for placeholder in placeholders]


def _large_matrices(
  readers: Mapping[str, list[tf.compat.v1.NodeDef]],
  captured: Mapping[str, tf.Tensor],
  variables: list[tf.Variable],
  min_elements: int,
) -> dict[str, tf.Variable]:
  """Returns the matrices to store, by the node of their handle: those that are only ever read."""
  by_handle = {id(variable.handle): variable for variable in variables}
  found = {node: by_handle.get(id(handle)) for node, handle in captured.items()}
  return {
    node: variable
    for node, variable in found.items()
    if variable is not None
    and (variable.dtype, variable.shape.rank) == (tf.float32, 2)
    and variable.shape.num_elements() >= min_elements
    and {reader.op for reader in readers.get(node, ())} in _ONLY_READ
  }


def _is_looked_up(readers: list[tf.compat.v1.NodeDef]) -> bool:
  return any(reader.op == GATHER for reader in readers)


def _handles(stored: Mapping[str, StoredMatrix]) -> dict[str, tf.Tensor]:
  values = {node: matrix.values.handle for node, matrix in stored.items()}
  scaled = {node: matrix.scales for node, matrix in stored.items() if matrix.scales is not None}
  return {**values, **{node + SCALES: scales.handle for node, scales in scaled.items()}}

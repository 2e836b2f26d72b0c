"""A graph that reads float32 matrices -> one that reads them stored in fewer bits."""

from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from heavy_ranker.serving.stored_matrix import StoredMatrix

Node = tf.compat.v1.NodeDef
Graph = tf.compat.v1.GraphDef

READ, GATHER, MATMUL = "ReadVariableOp", "ResourceGather", "MatMul"
# Added to the name of a matrix's handle: what the rewritten graph calls the handle of its scales.
SCALES = "/scales"
_VALUES = "/values"


def consumers(graph: Graph) -> dict[str, list[Node]]:
  """Returns the nodes that read each node, by its name."""
  found: dict[str, list[Node]] = {}
  for node in graph.node:
    for name in {tensor.split(":")[0].lstrip("^") for tensor in node.input}:
      found.setdefault(name, []).append(node)
  return found


def read_stored(
  graph: Graph, matrices: Mapping[str, StoredMatrix], matmul_dtype: tf.DType
) -> Graph:
  """Rewrites what reads the given matrices, with stock ops; all names and all else stay.

  With V and S a matrix's values and scales (1 without any): x W becomes (x V) S, computed in
  `matmul_dtype` up to the scales, since scaling the product is cheaper than scaling the matrix.
  Whatever else reads W, rows that are looked up for one, gets V S in float32.

  Args:
    graph: what was traced with float32 matrices.
    matrices: by the name of the node that stands for the matrix's handle in `graph`; only READ and
      GATHER nodes read it. The rewritten graph wants the handle of the values there, and of the
      scales under that name + SCALES.
    matmul_dtype: float32 or bfloat16.
  """
  readers = consumers(graph)
  reads = {
    node.name: matrices[node.input[0]]
    for node in graph.node
    if node.op in (READ, GATHER) and node.input[0] in matrices
  }
  rewritten = Graph()
  rewritten.CopyFrom(graph)
  rewritten.ClearField("node")
  for node in graph.node:
    if node.name in reads:
      rewritten.node.extend(_read(node, reads[node.name]))
      if not all(_is_product(reader, reads) for reader in readers.get(node.name, ())):
        rewritten.node.extend(_expand(node.name, reads[node.name]))
    elif _is_product(node, reads):
      rewritten.node.extend(_multiply(node, reads[node.input[1]], matmul_dtype))
    else:
      rewritten.node.append(node)
  return rewritten


def _is_product(node: Node, reads: Mapping[str, StoredMatrix]) -> bool:
  """Tells whether a node is x W, with W as it is and a scale a column."""
  if node.op != MATMUL or node.attr["transpose_b"].b or node.input[1] not in reads:
    return False
  scales = reads[node.input[1]].scales
  return node.input[0] not in reads and (scales is None or scales.shape[0] == 1)


def _read(node: Node, matrix: StoredMatrix) -> Iterator[Node]:
  """Yields what reads, or looks up, values and scales in place of the matrix."""
  handle, *others = node.input
  dtype = matrix.values.dtype
  yield _like(node, node.name + _VALUES, [handle, *others], dtype=dtype)
  if matrix.scales is not None:
    yield _like(node, node.name + SCALES, [handle + SCALES, *others], dtype=tf.float32)


def _expand(read: str, matrix: StoredMatrix) -> Iterator[Node]:
  """Yields what makes float32 of the values that were read."""
  yield from _scaled(read, read + _VALUES, matrix.values.dtype, matrix, read + SCALES)


def _multiply(node: Node, matrix: StoredMatrix, dtype: tf.DType) -> Iterator[Node]:
  """Yields what takes the place of a product."""
  inputs, kernel, *controls = node.input
  cast_inputs, cast_kernel = f"{node.name}/inputs", f"{node.name}/kernel"
  yield _cast(cast_inputs, inputs, tf.float32, dtype)
  yield _cast(cast_kernel, kernel + _VALUES, matrix.values.dtype, dtype)
  product = f"{node.name}/product"
  yield _like(node, product, [cast_inputs, cast_kernel, *controls], T=dtype)
  yield from _scaled(node.name, product, dtype, matrix, kernel + SCALES)


def _scaled(
  name: str, source: str, dtype: tf.DType, matrix: StoredMatrix, scales: str
) -> Iterator[Node]:
  """Yields what makes float32 of `source`, times the scales if there are any."""
  if matrix.scales is None:
    yield _cast(name, source, dtype, tf.float32)
    return
  yield _cast(f"{name}/float32", source, dtype, tf.float32)
  yield _node("Mul", name, [f"{name}/float32", scales], T=tf.float32)


def _cast(name: str, source: str, found: tf.DType, wanted: tf.DType) -> Node:
  return _node("Cast", name, [source], SrcT=found, DstT=wanted)


def _node(op: str, name: str, inputs: Sequence[str], **dtypes: tf.DType) -> Node:
  return _like(Node(op=op), name, inputs, **dtypes)


def _like(node: Node, name: str, inputs: Sequence[str], **dtypes: tf.DType) -> Node:
  copied = Node()
  copied.CopyFrom(node)
  copied.name = name
  copied.input[:] = inputs
  for key, dtype in dtypes.items():
    copied.attr[key].type = dtype.as_datatype_enum
  return copied

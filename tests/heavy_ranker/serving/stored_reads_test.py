"""Tests of `heavy_ranker.serving.stored_reads`: rewritten graphs compute what NumPy computes."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.serving.stored_matrix import store
from heavy_ranker.serving.stored_reads import SCALES, read_stored

ROWS, COLUMNS = 5, 3
MATRIX = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
INPUTS = np.random.default_rng(1).normal(size=(4, ROWS)).astype(np.float32)


def rewrite_and_run(function, precision, by_row=False, matmul_dtype=tf.float32):
  """Returns what a function of (inputs, matrix) gives with the matrix stored, and the matrix."""
  variable = tf.Variable(MATRIX)
  traced = tf.function(lambda inputs: function(inputs, variable)).get_concrete_function(
    tf.TensorSpec([None, ROWS])
  )
  matrix = store(variable, precision, by_row)
  inputs, handle = (tensor.op.name for tensor in traced.inputs)
  graph = read_stored(traced.graph.as_graph_def(), {handle: matrix}, matmul_dtype)

  @tf.function
  def run(values):
    feeds = {f"{inputs}:0": values, f"{handle}:0": tf.identity(matrix.values.handle)}
    if matrix.scales is not None:
      feeds[f"{handle}{SCALES}:0"] = tf.identity(matrix.scales.handle)
    return tf.graph_util.import_graph_def(graph, feeds, [traced.outputs[0].name])[0]

  ops = {node.op: node for node in graph.node}
  values = tf.cast(matrix.values, tf.float32).numpy()
  expanded = values if matrix.scales is None else values * matrix.scales.numpy()
  return run(tf.constant(INPUTS)).numpy(), expanded, ops


CASES = {
  "product": (lambda x, w: tf.matmul(x, w), lambda x, w: x @ w),
  "product of the transpose": (
    lambda x, w: tf.matmul(tf.matmul(x, w), w, transpose_b=True),
    lambda x, w: x @ w @ w.T,
  ),
  "one read for a product and something else": (
    lambda x, w: _twice(x, tf.convert_to_tensor(w)),
    lambda x, w: x @ w + w.sum(),
  ),
  "stack": (
    lambda x, w: tf.einsum("bi,gio->bgo", x, tf.stack([w, w])),
    lambda x, w: np.stack([x @ w, x @ w], axis=1),
  ),
  "lookup": (lambda x, w: tf.gather(w, [[3, 0], [1, 3]]), lambda x, w: w[[[3, 0], [1, 3]]]),
  "lookup and product": (
    lambda x, w: tf.matmul(x, w) + tf.gather(w, [2]),
    lambda x, w: x @ w + w[[2]],
  ),
}


def _twice(inputs, kernel):
  return tf.matmul(inputs, kernel) + tf.reduce_sum(kernel)


# What is looked up has a scale a row.
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize(
  ("case", "by_row"),
  [(case, by_row) for case in CASES for by_row in (False, True) if by_row or "lookup" not in case],
)
def test_equals_numpy_with_the_rounded_matrix(case, precision, by_row):
  function, twin = CASES[case]
  found, matrix, _ = rewrite_and_run(function, precision, by_row)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, twin(INPUTS, matrix), rtol=1e-6, atol=5e-6)
  assert np.abs(found - twin(INPUTS, MATRIX)).max() > 1e-5


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_products_in_bfloat16(precision):
  found, matrix, ops = rewrite_and_run(CASES["product"][0], precision, matmul_dtype=tf.bfloat16)
  assert ops["MatMul"].attr["T"].type == tf.bfloat16.as_datatype_enum
  rounded = tf.cast(tf.cast(INPUTS, tf.bfloat16), tf.float32).numpy()
  # The product is rounded, too: to 8 significant bits.
  np.testing.assert_allclose(found, rounded @ matrix, rtol=2**-8, atol=1e-3)
  assert np.abs(found - rounded @ matrix).max() > 1e-6


def test_the_matrix_is_not_expanded_where_a_product_is_scaled():
  _, _, ops = rewrite_and_run(CASES["product"][0], "int8")
  assert ops["Mul"].input[0].startswith("MatMul")

"""A batch without examples."""

from typing import Any

import tensorflow as tf


def empty_batch(spec: Any) -> Any:
  """Returns tensors of a dataset's structure whose unknown sizes are 0.

  Args:
    spec: the dataset's `element_spec`, nested, of tensors and of ragged ones [batch, values].
  """
  return tf.nest.map_structure(_empty, spec)


def _empty(spec: tf.TypeSpec) -> Any:
  if isinstance(spec, tf.RaggedTensorSpec):
    values = tf.zeros([0], spec.dtype)
    return tf.RaggedTensor.from_row_splits(values, tf.zeros([1], spec.row_splits_dtype))
  return tf.zeros([size or 0 for size in spec.shape], spec.dtype)

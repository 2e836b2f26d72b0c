"""What a signature takes and gives, and whether a request's inputs are that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from heavy_ranker.serving.server.request_errors import Code, RequestError
from tfrecords.config.strict_model import did_you_mean

Shape = tuple[Optional[int], ...]


@dataclass(frozen=True)
class TensorInfo:
  """One input or output.

  Attributes:
    dtype: the type of its values.
    shape: its sizes, None where any size goes; None in place of all if even the rank is open.
  """

  dtype: tf.DType
  shape: Optional[Shape]

  @property
  def has_examples(self) -> bool:
    """Whether the first dimension counts the examples of the request."""
    return bool(self.shape) and self.shape[0] is None


@dataclass(frozen=True)
class SignatureInfo:
  """One signature.

  Attributes:
    name: the signature's.
    inputs: by name.
    outputs: by name.
    method_name: what TensorFlow Serving tells the kinds of signatures apart by.
    defaults: values of the inputs that a request may leave out.
  """

  name: str
  inputs: Mapping[str, TensorInfo]
  outputs: Mapping[str, TensorInfo]
  method_name: str
  defaults: Mapping[str, np.ndarray] = field(default_factory=dict)

  @classmethod
  def from_proto(cls, name: str, proto: meta_graph_pb2.SignatureDef) -> "SignatureInfo":
    """Returns what a SavedModel says of the signature."""
    defaults = {key: tf.make_ndarray(value) for key, value in proto.defaults.items()}
    inputs, outputs = _infos(proto.inputs), _infos(proto.outputs)
    return cls(name, inputs, outputs, proto.method_name, defaults)

  @property
  def can_be_batched(self) -> bool:
    """Whether requests may be laid end to end: every tensor has a row an example."""
    tensors = [*self.inputs.values(), *self.outputs.values()]
    return bool(self.inputs) and all(tensor.has_examples for tensor in tensors)

  def check_names(self, names: Iterable[str]) -> None:
    """Checks that the inputs are there and no others.

    Raises:
      RequestError: INVALID_ARGUMENT, names the input.
    """
    given = set(names)
    for name in sorted(given - set(self.inputs)):
      raise _invalid(
        f"{self._where(name)}: unknown input{did_you_mean(name, self.inputs)}; allowed: "
        f"{', '.join(sorted(self.inputs))}"
      )
    needed = set(self.inputs) - set(self.defaults)
    for name in sorted(needed - given):
      raise _invalid(
        f"{self._where(name)}: missing, allowed: {_describe(self.inputs[name])}; needed: "
        f"{', '.join(sorted(needed))}"
      )

  def check_tensor(
    self, name: str, dtype: tf.DType, shape: Sequence[int], max_examples: int
  ) -> None:
    """Checks type and shape of one input.

    Raises:
      RequestError: INVALID_ARGUMENT, names the input.
    """
    info = self.inputs[name]
    found = f"found {dtype.name} {list(shape)}, allowed: {_describe(info)}"
    if dtype != info.dtype or not _fits(shape, info.shape):
      raise _invalid(f"{self._where(name)}: {found}")
    if info.has_examples and not 1 <= shape[0] <= max_examples:
      raise _invalid(f"{self._where(name)}: {found} with 1 to {max_examples} examples a request")

  def check(self, inputs: Mapping[str, np.ndarray], max_examples: int) -> int:
    """Checks names, types, shapes and that all inputs have as many examples.

    Values are not looked at: the model treats NaN and infinities as 0.

    Args:
      inputs: arrays by name; strings are arrays of objects, each of them bytes.
      max_examples: the largest number of examples in a request.

    Returns:
      The number of examples; 1 if no input has a row an example.

    Raises:
      RequestError: INVALID_ARGUMENT, names the input.
    """
    self.check_names(inputs)
    sizes = {}
    for name, array in inputs.items():
      self.check_tensor(name, dtype_of(array), array.shape, max_examples)
      if self.inputs[name].has_examples:
        sizes[name] = array.shape[0]
    if len(set(sizes.values())) > 1:
      listed = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
      raise _invalid(
        f"signature {self.name!r}: inputs: found different numbers of examples ({listed}), "
        "allowed: one number for all"
      )
    return next(iter(sizes.values()), 1)

  def check_outputs(self, names: Iterable[str]) -> None:
    """Checks an output filter.

    Raises:
      RequestError: INVALID_ARGUMENT, names the output.
    """
    for name in names:
      if name not in self.outputs:
        raise _invalid(
          f"output_filter: found {name!r}{did_you_mean(name, self.outputs)}, allowed: "
          f"{', '.join(sorted(self.outputs))}"
        )

  def _where(self, name: str) -> str:
    return f"signature {self.name!r}: input {name!r}"


def dtype_of(array: np.ndarray) -> tf.DType:
  """Returns TensorFlow's type of an array; objects and bytes are strings.

  Raises:
    RequestError: INVALID_ARGUMENT: TensorFlow has no such type.
  """
  if array.dtype.kind in "OSU":
    return tf.string
  try:
    return tf.as_dtype(array.dtype)
  except TypeError:
    raise _invalid(f"found values of type {array.dtype}, which TensorFlow does not know") from None


def can_be_called(proto: meta_graph_pb2.SignatureDef) -> bool:
  """Tells whether a request can call a signature: whether all it has is plain tensors.

  An initializer has an operation for an output; ragged and sparse tensors are several.
  """
  tensors = [*proto.inputs.values(), *proto.outputs.values()]
  return all(tensor.name and tensor.dtype != types_pb2.DT_INVALID for tensor in tensors)


def _infos(protos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, TensorInfo]:
  return {
    name: TensorInfo(tf.as_dtype(proto.dtype), _shape(proto)) for name, proto in protos.items()
  }


def _shape(proto: meta_graph_pb2.TensorInfo) -> Optional[Shape]:
  if proto.tensor_shape.unknown_rank:
    return None
  return tuple(None if dim.size < 0 else dim.size for dim in proto.tensor_shape.dim)


def _fits(found: Sequence[int], allowed: Optional[Shape]) -> bool:
  if allowed is None:
    return True
  return len(found) == len(allowed) and all(
    wanted is None or size == wanted for size, wanted in zip(found, allowed)
  )


def _describe(info: TensorInfo) -> str:
  if info.shape is None:
    return f"{info.dtype.name} of any shape"
  sizes = ["n" if index == 0 else "any" for index in range(len(info.shape))]
  sizes = [name if size is None else str(size) for name, size in zip(sizes, info.shape)]
  return f"{info.dtype.name} [{', '.join(sizes)}]"


def _invalid(message: str) -> RequestError:
  return RequestError(Code.INVALID_ARGUMENT, message)

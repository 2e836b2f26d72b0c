"""What both transports of the client share: which model, its signatures, its versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class ServedModel:
  """Which model of a server.

  Attributes:
    name: the model's name.
    version: its version; the newest one when None.
    label: its version's label instead of a number, such as "stable".
  """

  name: str = "heavy_ranker"
  version: Optional[int] = None
  label: Optional[str] = None


@dataclass(frozen=True)
class Signature:
  """Inputs and outputs of a signature by name; unknown sizes are None."""

  inputs: Mapping[str, tf.TensorSpec]
  outputs: Mapping[str, tf.TensorSpec]


@dataclass(frozen=True)
class VersionStatus:
  """A version as the server sees it.

  Attributes:
    version: the version.
    state: START, LOADING, AVAILABLE, UNLOADING or END.
    error: why it is not available, "" if nothing went wrong.
  """

  version: int
  state: str
  error: str


class Transport(Protocol):
  """How requests get to the server. Every method raises ServingError."""

  def predict(self, signature: str, inputs: Arrays, outputs: Mapping[str, tf.TensorSpec]) -> Arrays:
    """Sends one request; `outputs` says what the arrays of the answer are."""

  def metadata(self) -> dict[str, Signature]:
    """Returns the model's signatures by name."""

  def status(self) -> list[VersionStatus]:
    """Returns the model's versions."""

  def close(self) -> None:
    """Ends the connection."""


def signatures_of(definitions: Mapping[str, meta_graph_pb2.SignatureDef]) -> dict[str, Signature]:
  """Returns signatures as they are written in a SavedModel, without its own bookkeeping."""
  return {
    name: Signature(_specs(definition.inputs), _specs(definition.outputs))
    for name, definition in definitions.items()
    if not name.startswith("__")
  }


def _specs(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, tf.TensorSpec]:
  return {
    name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.dtypes.as_dtype(info.dtype), name)
    for name, info in tensors.items()
  }

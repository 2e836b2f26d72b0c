"""A SavedModel in a session of its own, which takes all its memory with it when it goes."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2


class ModelSession:
  """Runs the signatures of a SavedModel as tensorflow_model_server does; safe for threads.

  What `tf.saved_model.load` reads joins the one eager context of the process, and its weights stay
  until the garbage collector finds the functions that refer to them. A session owns graph, kernels
  and variables: they go with the last reference to it, at once, or when its last run ends.

  Attributes:
    signature_defs: the SavedModel's signatures by name, as TensorFlow Serving's messages.

  Args:
    folder: of the SavedModel, on this machine.

  Raises:
    Exception: of any kind, whatever is wrong with the SavedModel.
  """

  def __init__(self, folder: str):
    graph = tf.Graph()
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    self._session = tf.compat.v1.Session(graph=graph, config=config)
    with _without_advice():
      meta_graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], folder)
    graph.finalize()
    # Copies, since a part of a message keeps the whole of it: here with the graph.
    self.signature_defs: dict[str, meta_graph_pb2.SignatureDef] = {}
    for name, proto in meta_graph.signature_def.items():
      self.signature_defs[name] = meta_graph_pb2.SignatureDef()
      self.signature_defs[name].CopyFrom(proto)

  def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes all outputs of a signature.

    Args:
      signature: its name.
      inputs: a value for each of its inputs; strings are arrays of objects, each of them bytes.

    Returns:
      Arrays by the output's name.

    Raises:
      TypeError, ValueError: an input is no such tensor as the signature says.
      tf.errors.OpError: the model cannot be computed.
      UnicodeDecodeError: the same, with a message of TensorFlow's that is no text.
    """
    proto = self.signature_defs[signature]
    # Always the same tensors: for each choice of them a session keeps another graph.
    feeds = {proto.inputs[name].name: array for name, array in inputs.items()}
    fetches = {name: tensor.name for name, tensor in proto.outputs.items()}
    outputs = self._session.run(fetches, feeds)
    # A single string comes as bytes, all else as arrays or NumPy's scalars.
    return {
      name: np.array(value, object) if isinstance(value, bytes) else value
      for name, value in outputs.items()
    }


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
  """Leaves out of the log that a session is not what TensorFlow 2 would load a model into."""
  logger = tf.get_logger()
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    logger.setLevel(level)

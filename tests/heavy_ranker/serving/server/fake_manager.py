"""A model manager with one model that answers with what it was asked, for tests of the fronts."""

import contextlib
import threading
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.signature_info import SignatureInfo, TensorInfo

MODEL, VERSION = "ranker", 3
_PREDICT = "tensorflow/serving/predict"


def signature(inputs: dict, outputs: dict, name: str = "serving_default") -> SignatureInfo:
  """A signature from {name: (dtype, shape)}."""
  return SignatureInfo(
    name,
    {key: TensorInfo(*info) for key, info in inputs.items()},
    {key: TensorInfo(*info) for key, info in outputs.items()},
    _PREDICT,
  )


SIGNATURES = {
  "serving_default": signature(
    {"continuous": (tf.float32, (None, 3)), "ids": (tf.int64, (None,))},
    {"score": (tf.float32, (None,)), "twice": (tf.int64, (None,))},
  ),
  "score_examples": signature(
    {"examples": (tf.string, (None,))}, {"lengths": (tf.int32, (None,))}, "score_examples"
  ),
}


class FakeVersion:
  name, version = MODEL, VERSION

  def __init__(self):
    self.signatures = SIGNATURES
    self.score = {"weights": {"a": 2.0}}
    self.calls = []
    self.failure = None
    self.may_go_on = threading.Event()
    self.may_go_on.set()
    self.started = threading.Event()
    self.signature_defs = {"serving_default": meta_graph_pb2.SignatureDef(method_name=_PREDICT)}
    info = self.signature_defs["serving_default"].inputs["continuous"]
    info.name, info.dtype = "continuous:0", tf.float32.as_datatype_enum
    info.tensor_shape.CopyFrom(tf.TensorShape([None, 3]).as_proto())

  def run(self, signature, inputs, output_filter=(), deadline=None):
    self.calls.append((signature, inputs, deadline))
    self.started.set()
    self.may_go_on.wait(30)
    if self.failure:
      raise self.failure
    info = self.signatures[signature]
    for name, tensor in inputs.items():
      shape = info.inputs[name].shape
      if tensor.ndim != len(shape) or (len(shape) == 2 and tensor.shape[1] != shape[1]):
        raise RequestError(Code.INVALID_ARGUMENT, f"input '{name}': found {tensor.shape}")
    if signature == "score_examples":
      return {"lengths": np.array([len(text) for text in inputs["examples"]], np.int32)}
    return {"score": inputs["continuous"].sum(axis=1), "twice": inputs["ids"] * 2}


class FakeManager:
  def __init__(self):
    self.version = FakeVersion()
    self.state = "AVAILABLE"
    self.in_use = 0

  @contextlib.contextmanager
  def resolve(self, name, version=None, label=None):
    if name != MODEL or version not in (None, VERSION) or label not in (None, "stable"):
      raise RequestError(Code.NOT_FOUND, f"no model {name!r}, version {version}, label {label!r}")
    self.in_use += 1
    try:
      yield self.version
    finally:
      self.in_use -= 1

  def status(self, name, version=None, label=None):
    if label is not None:
      with self.resolve(name, label=label) as served:
        version = served.version
    if name != MODEL or version not in (None, VERSION, 2):
      raise RequestError(Code.NOT_FOUND, f"no model {name!r}, version {version}")
    statuses = [
      SimpleNamespace(version=2, state="END", error="cannot be loaded"),
      SimpleNamespace(version=VERSION, state=self.state, error=None),
    ]
    return [status for status in statuses if version in (None, status.version)]

  def names(self):
    return [MODEL]


class FakeTelemetry:
  def __init__(self):
    self.requests = []

  def observe_request(self, model, signature, api, status, seconds, examples):
    self.requests.append((model, signature, api, status, examples))

  def render(self):
    return b"serving_requests_total 1.0\n", "text/plain; version=0.0.4"

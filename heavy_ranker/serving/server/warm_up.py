"""Runs a version before it gets requests: the first run of a graph is the slow one."""

import os

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import prediction_log_pb2

from heavy_ranker.serving.server import tensor_protos
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.served_model import LoadedVersion
from heavy_ranker.serving.server.signature_info import SignatureInfo, TensorInfo

WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
# TensorFlow Serving's own bound.
_MOST_REQUESTS = 1000
# The number of examples of made-up requests: one alone, and enough to use all cores.
_SIZES = (1, 32)


def warm_up(version: LoadedVersion, folder: str, max_bytes: int) -> None:
  """Sends a version the requests its export brings, or made-up ones if it brings none.

  Args:
    version: just loaded.
    folder: where its export lies.
    max_bytes: of one tensor.

  Raises:
    Exception: of any kind: the version cannot answer the requests of its own export, or it fails
      with an error that is no fault of a made-up request.
  """
  path = os.path.join(folder, WARM_UP_FILE)
  if tf.io.gfile.exists(path):
    _send_recorded(version, path, max_bytes)
  else:
    for info in version.signatures.values():
      _send_made_up(version, info)


def _send_recorded(version: LoadedVersion, path: str, max_bytes: int) -> None:
  for index, record in enumerate(tf.data.TFRecordDataset(path).take(_MOST_REQUESTS)):
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    if log.WhichOneof("log_type") != "predict_log":
      logging.warning("%s: request %d is no Predict request, left out", path, index)
      continue
    request = log.predict_log.request
    try:
      info = version.signature(request.model_spec.signature_name)
      inputs = tensor_protos.to_arrays(request.inputs, info, max_bytes, max_bytes)
      info.check(inputs, max_bytes)
      version.compute(info, inputs)
    except RequestError as error:
      raise ValueError(f"{WARM_UP_FILE}: request {index}: {error.message}") from None


def _send_made_up(version: LoadedVersion, info: SignatureInfo) -> None:
  needed = {name: info.inputs[name] for name in info.inputs if name not in info.defaults}
  for size in _SIZES:
    try:
      version.compute(info, {name: _zeros(tensor, size) for name, tensor in needed.items()})
    except RequestError as error:
      if error.code is not Code.INVALID_ARGUMENT:
        raise
      logging.info("signature %r takes no made-up request: %s", info.name, error.message)


def _zeros(tensor: TensorInfo, size: int) -> np.ndarray:
  shape = tensor.shape or ()
  sizes = [size if index == 0 else 1 for index in range(len(shape))]
  shape = tuple(made_up if known is None else known for made_up, known in zip(sizes, shape))
  if tensor.dtype == tf.string:
    return np.full(shape, b"", dtype=object)
  return np.zeros(shape, tensor.dtype.as_numpy_dtype)

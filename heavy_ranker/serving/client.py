"""A client of anything that speaks TensorFlow Serving's APIs, gRPC or REST."""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.client_grpc import GrpcTransport
from heavy_ranker.serving.client_rest import RestTransport
from heavy_ranker.serving.client_types import (
  Arrays,
  ServedModel,
  Signature,
  Transport,
  VersionStatus,
)
from heavy_ranker.serving.serving_error import ServingError
from heavy_ranker.serving.signatures import SCORE_EXAMPLES, SERVING_DEFAULT

APIS = {"grpc": GrpcTransport, "rest": RestTransport}
DEFAULT_TARGETS = {"grpc": "127.0.0.1:8500", "rest": "127.0.0.1:8501"}


class Client:
  """Scores candidates on a server; a context manager.

  Over gRPC it may be shared between threads, over REST each thread needs its own.

  Args:
    target: "host:port"; where tensorflow_model_server listens by default when None.
    api: "grpc" or "rest".
    model_name: the model's name on the server.
    version: the model's version; the newest when None.
    label: a version's label instead.
    signature: the signature of `score`.
    timeout_seconds: how long a request may take.
    examples_a_request: how many records `score_examples` sends at a time.

  Raises:
    ServingError: the target is no address.
  """

  def __init__(
    self,
    target: Optional[str] = None,
    api: str = "grpc",
    model_name: str = "heavy_ranker",
    version: Optional[int] = None,
    label: Optional[str] = None,
    signature: str = SERVING_DEFAULT,
    timeout_seconds: float = 30.0,
    examples_a_request: int = 256,
  ):
    if api not in APIS:
      raise ValueError(f"api: found {api!r}, allowed: {', '.join(APIS)}")
    if version is not None and label is not None:
      raise ValueError("found a version and a label, allowed: one of the two")
    model = ServedModel(model_name, version, label)
    self._target = target or DEFAULT_TARGETS[api]
    self._transport: Transport = APIS[api](self._target, model, timeout_seconds)
    self._signature, self._examples_a_request = signature, examples_a_request
    self._metadata: Optional[dict[str, Signature]] = None

  def __enter__(self) -> "Client":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def score(self, inputs: Mapping[str, Any], signature: Optional[str] = None) -> Arrays:
    """Scores candidates in one request.

    Args:
      inputs: arrays or nested lists by name, [n, width]. Numbers are brought to the dtype the
        signature asks for, which the server is asked once.
      signature: the signature; the client's own when None.

    Returns:
      The outputs by name: `score` [n], `probabilities` [n, tasks] and each task's [n].

    Raises:
      ServingError: the server refuses the request, cannot be reached or takes too long.
    """
    name = signature or self._signature
    known = self.signature(name)
    arrays = {key: self._array(key, value, known.inputs.get(key)) for key, value in inputs.items()}
    return self._transport.predict(name, arrays, known.outputs)

  def score_examples(self, serialized: Sequence[bytes], signature: str = SCORE_EXAMPLES) -> Arrays:
    """Scores records, serialized tf.Examples, in as many requests as it takes.

    Returns:
      The outputs of all of them by name, in the order of the records; see `score`.

    Raises:
      ServingError: see `score`.
    """
    names = list(self.signature(signature).inputs)
    if len(names) != 1:
      raise ServingError(
        "INVALID_ARGUMENT",
        f"{signature}: found the inputs {', '.join(names)}, allowed: a signature of records only, "
        f"such as {SCORE_EXAMPLES}",
      )
    size = self._examples_a_request
    parts = [
      self.score({names[0]: np.array(serialized[start : start + size], object)}, signature)
      for start in range(0, max(len(serialized), 1), size)
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

  def metadata(self) -> dict[str, Signature]:
    """Returns the model's signatures by name, asked anew each time.

    Raises:
      ServingError: see `score`.
    """
    self._metadata = self._transport.metadata()
    return dict(self._metadata)

  def signature(self, name: str) -> Signature:
    """Returns a signature as the server described it when it was first asked.

    Raises:
      ServingError: the model has no such signature; or see `score`.
    """
    known = self._metadata if self._metadata is not None else self.metadata()
    if name not in known:
      raise ServingError(
        "NOT_FOUND", f"{self._target}: no signature {name!r}, found: {', '.join(sorted(known))}"
      )
    return known[name]

  def status(self) -> list[VersionStatus]:
    """Returns the model's versions and their states.

    Raises:
      ServingError: see `score`.
    """
    return self._transport.status()

  def close(self) -> None:
    """Ends the connection."""
    self._transport.close()

  def _array(self, name: str, value: Any, spec: Optional[tf.TensorSpec]) -> np.ndarray:
    wanted = spec.dtype if spec is not None else None
    try:
      array = np.asarray(value, object if wanted is tf.string else None)
    except ValueError as error:
      raise self._refused(name, f"no rectangular array: {error}") from None
    if wanted is None:  # The server shall say what is wrong with it.
      return array.astype(np.float32) if array.dtype == np.float64 else array
    if wanted is tf.string:
      if not all(isinstance(element, (str, bytes)) for element in array.flat):
        raise self._refused(name, "something else than strings, allowed: strings or bytes")
      return array
    allowed = "fiub" if wanted.is_floating else "iub"
    if array.dtype.kind not in allowed and array.size:
      raise self._refused(name, f"values of dtype {array.dtype}, allowed: {wanted.name}")
    return array.astype(wanted.as_numpy_dtype)

  def _refused(self, name: str, found: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", f"inputs.{name}: found {found}")

"""A version of a model in memory: its signatures, and requests to them."""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.server.execution import Execution
from heavy_ranker.serving.server.model_session import ModelSession
from heavy_ranker.serving.server.request_errors import Code, RequestError, from_tensorflow
from heavy_ranker.serving.server.score_recipe import read_score_recipe
from heavy_ranker.serving.server.signature_info import SignatureInfo, TensorInfo, can_be_called
from tfrecords.folders import on_this_machine

_DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY

__all__ = ["LoadedVersion", "SignatureInfo", "TensorInfo", "load_version"]


class LoadedVersion:
  """One version of a model; from `load_version`.

  Attributes:
    name: the model's.
    version: the version's number.
    signatures: what requests may call, by name.
    signature_defs: the same as TensorFlow Serving's messages.
    score: the recipe of the score, as in assets.extra/score.json; None if the export has none.
  """

  def __init__(
    self,
    name: str,
    version: int,
    session: ModelSession,
    execution: Execution,
    score: Optional[Mapping[str, Any]] = None,
  ):
    self.score = score
    self.name = name
    self.version = version
    self.signature_defs = session.signature_defs
    self.signatures = {
      key: SignatureInfo.from_proto(key, proto)
      for key, proto in session.signature_defs.items()
      if can_be_called(proto)
    }
    self._session: Optional[ModelSession] = session
    self._execution = execution

  def signature(self, name: str = "") -> SignatureInfo:
    """Returns a signature; serving_default if the name is empty.

    Raises:
      RequestError: NOT_FOUND.
    """
    key = name or _DEFAULT
    if key not in self.signatures:
      raise RequestError(
        Code.NOT_FOUND,
        f"model {self.name!r} version {self.version}: no signature {key!r}; there are: "
        f"{', '.join(sorted(self.signatures))}",
      )
    return self.signatures[key]

  def run(
    self,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str] = (),
    deadline: Optional[float] = None,
  ) -> dict[str, np.ndarray]:
    """Answers a request.

    Args:
      signature: its name; serving_default if empty.
      inputs: arrays by name, without those whose default will do; strings are arrays of objects,
        each of them bytes. Values may be anything: the model treats NaN and infinities as 0.
      output_filter: the outputs wanted; all if empty.
      deadline: as time.monotonic() counts; None for any time.

    Returns:
      Arrays by the output's name.

    Raises:
      RequestError: NOT_FOUND, INVALID_ARGUMENT with the field's name, RESOURCE_EXHAUSTED if too
        many requests wait, DEADLINE_EXCEEDED, UNAVAILABLE while the server stops, INTERNAL.
    """
    info = self.signature(signature)
    examples = info.check(inputs, self._execution.max_examples)
    info.check_outputs(output_filter)
    outputs = self._execution.run(self, info, inputs, examples, deadline)
    return {name: outputs[name] for name in output_filter} if output_filter else outputs

  def compute(self, info: SignatureInfo, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs the model at once, on this thread, with inputs that have been checked.

    Raises:
      RequestError: INVALID_ARGUMENT if the model cannot use the values, or INTERNAL.
    """
    session = self._session
    if session is None:
      raise RequestError(Code.UNAVAILABLE, f"version {self.version} is no longer served")
    names = ", ".join(repr(name) for name in sorted(inputs))
    where = f"signature {info.name!r}: input {names}"
    try:
      return session.run(info.name, {**info.defaults, **inputs})
    except UnicodeDecodeError as error:
      # TensorFlow's message quotes the values it cannot use, and they are no text.
      raise from_tensorflow(error.object.decode(errors="replace"), where) from None
    except (TypeError, ValueError) as error:
      raise RequestError(Code.INVALID_ARGUMENT, f"{where}: {error}") from None
    except tf.errors.OpError as error:
      raise from_tensorflow(error.message, where, type(error)) from None

  def close(self) -> None:
    """Frees the memory, as soon as no run is under way."""
    self._session = None


def load_version(name: str, version: int, folder: str, execution: Execution) -> LoadedVersion:
  """Loads a SavedModel.

  Args:
    name: the model's name.
    version: the version's number.
    folder: of the SavedModel.
    execution: what runs its requests.

  Raises:
    Exception: of any kind, whatever is wrong with the SavedModel.
  """
  # TensorFlow 2.16 crashes when it reads the fingerprint of a SavedModel in an object store.
  with on_this_machine(folder) as local_folder:
    session = ModelSession(local_folder)
  return LoadedVersion(name, version, session, execution, read_score_recipe(folder))

"""What a request can fail with, the same for gRPC and REST."""

import enum

import grpc
import tensorflow as tf


class Code(enum.Enum):
  """Why a request was not answered; the names and numbers are those of gRPC."""

  INVALID_ARGUMENT = 3
  DEADLINE_EXCEEDED = 4
  NOT_FOUND = 5
  RESOURCE_EXHAUSTED = 8
  FAILED_PRECONDITION = 9
  UNIMPLEMENTED = 12
  INTERNAL = 13
  UNAVAILABLE = 14

  @property
  def grpc_code(self) -> grpc.StatusCode:
    """The same as gRPC's status code."""
    return grpc.StatusCode[self.name]

  @property
  def http_status(self) -> int:
    """The HTTP status TensorFlow Serving maps the code to.

    Overload is 503 rather than 429: the server is busy, whoever asks.
    """
    return _HTTP_STATUS[self]


_HTTP_STATUS = {
  Code.INVALID_ARGUMENT: 400,
  Code.FAILED_PRECONDITION: 412,
  Code.NOT_FOUND: 404,
  Code.RESOURCE_EXHAUSTED: 503,
  Code.UNAVAILABLE: 503,
  Code.DEADLINE_EXCEEDED: 504,
  Code.UNIMPLEMENTED: 501,
  Code.INTERNAL: 500,
}

_CODE_OF = (
  (tf.errors.InvalidArgumentError, Code.INVALID_ARGUMENT),
  (tf.errors.ResourceExhaustedError, Code.RESOURCE_EXHAUSTED),
)
# Lines that TensorFlow wraps around what went wrong.
_ABOUT_THE_GRAPH = ("Graph execution error", "Detected at node", "<stack traces", "\t [[")


class RequestError(Exception):
  """A request that is not answered; the message names the field and what is allowed.

  Args:
    code: the kind of failure.
    message: for whoever sent the request.
  """

  def __init__(self, code: Code, message: str):
    super().__init__(message)
    self.code = code
    self.message = message


def from_tensorflow(
  message: str, where: str, kind: type = tf.errors.InvalidArgumentError
) -> RequestError:
  """Returns what a run of the model failed with, as an answer to the request.

  Args:
    message: TensorFlow's.
    where: the inputs and the signature, for the message.
    kind: TensorFlow's class of the error.
  """
  code = next((code for known, code in _CODE_OF if issubclass(kind, known)), Code.INTERNAL)
  lines = [line for line in message.splitlines() if line and not line.startswith(_ABOUT_THE_GRAPH)]
  return RequestError(code, f"{where}: {_without_node(lines[0] if lines else kind.__name__)}")


def _without_node(line: str) -> str:
  """Leaves out where in the graph it happened, which says nothing to whoever asked."""
  return line.split("}} ", 1)[-1] if line.startswith("{{") else line

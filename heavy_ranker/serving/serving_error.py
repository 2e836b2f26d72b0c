"""What a server refused, or that none could be reached."""

from tfrecords.errors import UserError


class ServingError(UserError):
  """A request failed.

  Args:
    code: the name of the gRPC status, such as "INVALID_ARGUMENT" or "UNAVAILABLE"; over REST the
      one that fits the HTTP status.
    message: what the server says, or why it cannot be reached.
  """

  exit_code = 9

  def __init__(self, code: str, message: str):
    super().__init__(f"{message} ({code})")
    self.code, self.message = code, message

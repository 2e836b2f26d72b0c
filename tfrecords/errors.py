"""The errors a user can mend, and the exit codes they end a command with.

Every message names the place (file, record, key, tensor), what was found, what is allowed and
the way out. Commands print the message without a traceback; anything else is a defect of the
program, keeps its traceback and exits with 1.
"""

import re

# The place in a graph, which says nothing to people.
_OPERATION = re.compile(r"\{\{function_node [^}]*\}\}\s*")
# `//tfrecords:validate` has found nothing but what counts as a warning.
WARNINGS_EXIT_CODE = 11


class UserError(Exception):
  """Something outside the program is wrong, and the message says how to mend it."""

  exit_code = 2


class ConfigError(UserError):
  """A configuration file, an override or a flag cannot be used."""

  exit_code = 2


class DataError(UserError):
  """Input files or records are missing, damaged or not what the schema says."""

  exit_code = 3


class StorageError(UserError):
  """A file or directory cannot be written or read, or would be overwritten."""

  exit_code = 4


class CheckpointError(UserError):
  """A checkpoint is missing or does not fit the model."""

  exit_code = 5


class TrainingError(UserError):
  """Training went wrong: the loss is not finite."""

  exit_code = 6


class NothingNewError(UserError):
  """Something that was waited for did not come in time."""

  exit_code = 7


class PrecisionError(UserError):
  """An export of lower precision would change the scores by more than is allowed."""

  exit_code = 8


class ClusterError(UserError):
  """Another worker of the cluster was lost, cannot be reached, or is set up differently."""

  exit_code = 12


class Preempted(SystemExit):
  """SIGTERM asked the process to end; nothing is lost, and the same command goes on.

  No UserError, since nothing is wrong, and no Exception, so that nobody takes it for a failure and
  carries on. A program that does not catch it ends with the exit code.

  Args:
    message: what was reached and how to go on.
  """

  exit_code = 10

  def __init__(self, message: str):
    super().__init__(self.exit_code)
    self._message = message

  def __str__(self) -> str:
    return self._message


def reason(error: BaseException) -> str:
  """Returns what an error of the operating system or of TensorFlow says, in one line."""
  text = _OPERATION.sub("", str(getattr(error, "message", None) or error))
  lines = text.splitlines()
  return lines[0] if lines else type(error).__name__

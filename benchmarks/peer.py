"""The same model in another framework, as a command that is run in turn with ours."""

import json
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any, Optional

from tfrecords.errors import ConfigError

_KEY = "--peer_command"


class Peer:
  """A command that prints one JSON object: `train` and `score`, examples/s by batch size.

  Args:
    command: its command line; `--batch_size=N` of training is added to it.
  """

  def __init__(self, command: str):
    try:
      self._arguments = shlex.split(command)
    except ValueError as error:
      raise ConfigError(f"{_KEY}: found {command!r}: {error}, allowed: a command line") from None
    if not self._arguments:
      raise ConfigError(f"{_KEY}: found nothing, allowed: a command line")

  def measure(self, batch_size: Optional[int] = None) -> Mapping[str, Any]:
    """Runs it once and returns what it printed.

    Args:
      batch_size: of training; the command's own default when None.

    Raises:
      ConfigError: it cannot be run, fails, or prints something else.
    """
    size = [] if batch_size is None else [f"--batch_size={batch_size}"]
    try:
      done = subprocess.run([*self._arguments, *size], capture_output=True, text=True, check=False)
    except OSError as error:
      raise ConfigError(f"{_KEY}: {self._arguments[0]}: cannot be run: {error}") from None
    if done.returncode:
      last = done.stderr.strip().splitlines()[-1:]
      raise ConfigError(f"{_KEY}: it ended with {done.returncode}: {' '.join(last)}")
    try:
      found = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
      found = None
    if not isinstance(found, dict):
      raise ConfigError(
        f"{_KEY}: found {done.stdout[-80:]!r}, allowed: a JSON object, printed last"
      )
    return found

  def examples_per_second(self, found: Mapping[str, Any], what: str, batch_size: int) -> float:
    """Returns one figure of what `measure` returned.

    Args:
      found: from `measure`.
      what: "train" or "score".
      batch_size: the batch size.

    Raises:
      ConfigError: it is not there.
    """
    figures = found.get(what)
    value = figures.get(str(batch_size)) if isinstance(figures, dict) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
      raise ConfigError(
        f"{_KEY}: {what}.{batch_size}: found {value!r}, allowed: examples a second, above 0"
      )
    return float(value)

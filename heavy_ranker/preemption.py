"""SIGTERM, with which clusters announce that a machine goes away: end soon, and lose nothing.

A command is inside `handled`. There SIGTERM raises `Preempted` (exit code 10), as Ctrl-C raises
KeyboardInterrupt. Whoever has something to finish first is inside `held`: SIGTERM is only noted
there, for `requested`, and raised at the end. Once it is raised, further SIGTERMs are ignored, so
that they disturb nobody who cleans up. No file of TensorFlow's is needed, so that a command is
inside as soon as it starts.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tfrecords.errors import Preempted

_MESSAGE = (
  "stopped by SIGTERM; what was finished is kept, and nothing is left half-written. The same "
  "command goes on from there"
)


@dataclass
class _State:
  """What this process knows of SIGTERM: signals are a process's, not an object's."""

  is_requested: bool = False
  is_raised: bool = False
  holders: int = 0


_state = _State()


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """A context in which SIGTERM raises Preempted.

  Changes nothing where a program has a handler of its own, and outside of the main thread, where
  Python allows none.

  Raises:
    Preempted: SIGTERM came.
  """
  global _state
  is_main = threading.current_thread() is threading.main_thread()
  if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
    yield
    return
  _state = _State()
  signal.signal(signal.SIGTERM, _on_signal)
  try:
    yield
    check()
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _state = _State()


@contextlib.contextmanager
def held() -> Iterator[None]:
  """A context in which SIGTERM waits; it is raised at its end, unless an error is.

  Raises:
    Preempted: SIGTERM came meanwhile.
  """
  _state.holders += 1
  try:
    yield
  finally:
    _state.holders -= 1
  check()


def requested() -> bool:
  """Tells whether SIGTERM has come and nobody has ended for it yet."""
  return _state.is_requested and not _state.is_raised


def check(message: Optional[str] = None) -> None:
  """Ends if SIGTERM has come.

  Args:
    message: what was reached and how to go on, for people.

  Raises:
    Preempted: SIGTERM has come.
  """
  if requested() and _state.holders == 0:
    stop(message)


def stop(message: Optional[str] = None) -> None:
  """Ends for a SIGTERM that has come; see `check`.

  Raises:
    Preempted: always.
  """
  _state.is_raised = True
  raise Preempted(message or _MESSAGE)


def _on_signal(number: int, frame: object) -> None:
  _state.is_requested = True
  check()

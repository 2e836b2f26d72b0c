"""SIGTERM, with which clusters announce that a machine goes away: end soon, and lose nothing.

A command is inside `handled`. There SIGTERM raises `Preempted` (exit code 10), as Ctrl-C raises
KeyboardInterrupt. Whoever has something to finish first is inside `held`: SIGTERM is only noted
there, for `requested`, and raised at the end. Once it is raised, further SIGTERMs are ignored, so
that they disturb nobody who cleans up. No file of TensorFlow's is needed, so that a command is
inside as soon as it starts.

Python drops an exception that is raised while it runs a destructor or a weak reference's callback,
and a signal may come just then. Such a one is sent again a moment later.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tfrecords.errors import Preempted

_MESSAGE = (
  "stopped by SIGTERM; what was finished is kept, and nothing is left half-written. The same "
  "command goes on from there"
)
_SENT_AGAIN_AFTER_SECONDS = 0.02


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
    with _sent_again_if_dropped():
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


@contextlib.contextmanager
def _sent_again_if_dropped() -> Iterator[None]:
  """A context in which a Preempted that Python could not pass on is raised once more."""
  before = sys.unraisablehook

  def on_dropped(dropped: "sys.UnraisableHookArgs") -> None:
    if issubclass(dropped.exc_type, Preempted):
      _state.is_raised = False
      timer = threading.Timer(_SENT_AGAIN_AFTER_SECONDS, _send_again)
      timer.daemon = True
      timer.start()
    else:
      before(dropped)

  sys.unraisablehook = on_dropped
  try:
    yield
  finally:
    sys.unraisablehook = before


def _send_again() -> None:
  if requested() and signal.getsignal(signal.SIGTERM) is _on_signal:
    os.kill(os.getpid(), signal.SIGTERM)

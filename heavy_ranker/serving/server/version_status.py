"""In which state a version is, in TensorFlow Serving's terms."""

import enum
from dataclasses import dataclass
from typing import Optional


class State(enum.IntEnum):
  """The states of a version; names and numbers are those of GetModelStatus."""

  START = 10
  LOADING = 20
  AVAILABLE = 30
  UNLOADING = 40
  END = 50


@dataclass(frozen=True)
class VersionStatus:
  """The state of one version.

  Attributes:
    version: its number.
    state: where it is between START and END.
    error: why it could not be loaded; None if nothing went wrong.
  """

  version: int
  state: State
  error: Optional[str] = None

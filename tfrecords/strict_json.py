"""JSON as its standard has it: NaN and infinities, which it lacks, become null."""

import json
import math
from collections.abc import Mapping
from typing import Any


def text_of(content: Any, indent: int = 1) -> str:
  """Returns plain data (mappings, lists, tuples, scalars) as the text of a file.

  Raises:
    TypeError: something is no plain data.
  """
  return json.dumps(_finite(content), indent=indent, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _finite(each) for key, each in value.items()}
  if isinstance(value, (list, tuple)):
    return [_finite(each) for each in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value

"""JSON files that appear whole or not at all."""

import json
import math
import os
from typing import Any


def write(path: str, content: Any) -> None:
  """Writes plain data; NaN and infinities, which JSON lacks, become null."""
  with open(f"{path}.tmp", "w", encoding="utf-8") as file:
    json.dump(_plain(content), file, indent=2)
    file.write("\n")
  os.replace(f"{path}.tmp", path)


def _plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _plain(element) for key, element in value.items()}
  if isinstance(value, (list, tuple)):
    return [_plain(element) for element in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value

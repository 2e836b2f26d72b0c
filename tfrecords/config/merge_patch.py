"""One configuration laid over another: JSON Merge Patch (RFC 7396) on parsed YAML."""

from collections.abc import Mapping
from typing import Any


def merge(base: Any, changes: Any) -> Any:
  """Returns `base` with `changes` made to it; neither argument is changed.

  A mapping is merged key by key, however deep; null removes the key; anything else, a list too,
  replaces what was there. Nulls of `base` stay where `changes` does not reach.

  Args:
    base: parsed YAML.
    changes: parsed YAML; where it is a mapping and `base` is none, `base` counts as empty.
  """
  if not isinstance(changes, Mapping):
    return changes
  merged = dict(base) if isinstance(base, Mapping) else {}
  for key, value in changes.items():
    if value is None:
      merged.pop(key, None)
    else:
      merged[key] = merge(merged.get(key), value)
  return merged

"""Values of the REST API's JSON: arrays to lists and back, bytes as {"b64": ...}."""

import base64
import binascii
from typing import Any

import numpy as np

_BASE_64 = "b64"


def to_json(array: np.ndarray) -> Any:
  """Returns an array as nested lists."""
  values = array.tolist()
  return _encoded(values) if array.dtype.kind in "OSU" else values


def from_json(value: Any) -> Any:
  """Returns nested lists with every {"b64": ...} as bytes, every string as its UTF-8.

  Raises:
    ValueError: an object is no such thing.
  """
  if isinstance(value, list):
    return [from_json(element) for element in value]
  if isinstance(value, str):
    return value.encode()
  if not isinstance(value, dict):
    return value
  if set(value) != {_BASE_64} or not isinstance(value[_BASE_64], str):
    raise ValueError(f'found an object of {sorted(value)}, allowed: numbers, text, {{"b64": ""}}')
  try:
    return base64.b64decode(value[_BASE_64], validate=True)
  except binascii.Error as error:
    raise ValueError(f"found {value[_BASE_64][:40]!r} as b64: {error}") from None


def _encoded(value: Any) -> Any:
  if isinstance(value, list):
    return [_encoded(element) for element in value]
  content = value.encode() if isinstance(value, str) else value
  return {_BASE_64: base64.b64encode(content).decode()}

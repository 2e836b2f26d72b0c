"""Tensors as JSON, the way TensorFlow Serving reads and writes them.

Nested lists are the dimensions, strings are UTF-8 text or {"b64": "..."}, and NaN, Infinity and
-Infinity stand for themselves. All loops over numbers run in C: a request holds millions of them.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.server.request_errors import Code, RequestError

# NumPy's own bound; JSON nested deeper than this is no tensor.
MAX_RANK = 32
# What the parser makes of the tokens. A number that overflows becomes another object of the same
# value, which is how 1e999 is told from Infinity.
CONSTANTS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
BYTES_SUFFIX = "_bytes"
_EXACT_IN_DOUBLE = 2**53
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
# Says where in the request an element is, given its position in the tensor.
Describe = Callable[[Sequence[int]], str]


def is_base64(value: Any) -> bool:
  """Whether a JSON value is {"b64": "..."}, which stands for bytes rather than for names."""
  return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def to_array(value: Any, dtype: tf.DType, describe: Describe) -> np.ndarray:
  """Returns the tensor a JSON value stands for.

  Args:
    value: what `json.loads` made of it, with CONSTANTS for the tokens that are no JSON.
    dtype: of the signature's input. Integers may stand for floats that equal them; nothing else
      is converted.
    describe: names an element for the messages.

  Returns:
    The array; strings are bytes objects.

  Raises:
    RequestError: ragged lists, a value of another type, a number out of range; the message says
      where.
  """
  leaves, shape = _flatten(value, describe)

  def at(index: int) -> str:
    return describe(np.unravel_index(index, shape) if shape else ())

  if dtype.is_floating:
    flat = _floats(leaves, dtype, at)
  elif dtype.is_integer and not dtype.is_quantized:
    flat = _integers(leaves, dtype, at)
  elif dtype == tf.bool:
    _require_types(leaves, {bool}, "true or false", at)
    flat = np.array(leaves, bool)
  elif dtype == tf.string:
    flat = _strings(leaves, at)
  else:
    raise RequestError(Code.UNIMPLEMENTED, f"{describe(())}: {dtype.name} has no form in JSON")
  return flat.reshape(shape)


def to_texts(array: np.ndarray, name: str) -> list[str]:
  """Returns the JSON of each element of the first dimension; of a scalar, its own.

  Floats have the fewest digits that read back as the same float of their type.

  Args:
    array: an output of the model; strings are bytes objects.
    name: the output's name; when it ends in _bytes, strings are written as base64.

  Raises:
    RequestError: a string that is no UTF-8, or a type without a form in JSON.
  """
  texts = _leaf_texts(array.ravel(), name)
  for axis in range(array.ndim - 1, 0, -1):
    size, count = array.shape[axis], math.prod(array.shape[:axis])
    texts = [f"[{', '.join(texts[i * size : (i + 1) * size])}]" for i in range(count)]
  return texts


def narrowed(wide: np.ndarray, dtype: tf.DType) -> np.ndarray:
  """Returns float64 as a float type, infinite where it is out of range.

  The largest float32 is written 3.4028235e+38, which is more: what counts is the rounded value.
  """
  with np.errstate(over="ignore"):
    return wide.astype(dtype.as_numpy_dtype)


def not_kept(wide: np.ndarray, narrow: np.ndarray) -> np.ndarray:
  """Returns where whole numbers may have lost digits: in the JSON's integers that is an error."""
  changed = (narrow.astype(np.float64) != wide) | (np.abs(wide) >= _EXACT_IN_DOUBLE)
  return np.flatnonzero(changed & (np.floor(wide) == wide))


def _flatten(value: Any, describe: Describe) -> tuple[list, tuple[int, ...]]:
  leaves, shape = [value], []
  while True:
    kinds = set(map(type, leaves))
    if list not in kinds:
      return leaves, tuple(shape)
    if len(kinds) > 1 or len(set(map(len, leaves))) > 1:
      _refuse_ragged(leaves, shape, describe)
    if len(shape) == MAX_RANK:
      _refuse(f"{describe(())}: lists nested deeper than {MAX_RANK}, allowed: a tensor")
    shape.append(len(leaves[0]))
    leaves = list(chain.from_iterable(leaves))


def _refuse_ragged(items: list, shape: list[int], describe: Describe) -> NoReturn:
  def form(item: Any) -> str:
    return f"a list of {len(item)}" if type(item) is list else found(item)

  def key(item: Any) -> int:
    return len(item) if type(item) is list else -1

  odd = next(i for i, item in enumerate(items) if key(item) != key(items[0]))
  _refuse(
    f"{describe(np.unravel_index(odd, shape))}: found {form(items[odd])}, allowed: "
    f"{form(items[0]) if type(items[0]) is list else 'no list'}, as in the first element"
  )


def _floats(leaves: list, dtype: tf.DType, at: Callable[[int], str]) -> np.ndarray:
  types = _require_types(leaves, {float, int}, "a number", at)
  limit = float(dtype.max)
  try:
    wide = np.array(leaves, np.float64)
    narrow = narrowed(wide, dtype)
    outside = np.flatnonzero(np.isinf(narrow))
  except OverflowError:
    outside = [i for i, leaf in enumerate(leaves) if type(leaf) is int and abs(leaf) > limit]
  for i in outside:
    if not any(leaves[i] is constant for constant in CONSTANTS.values()):
      _refuse(f"{at(i)}: found {found(leaves[i])}, allowed: {dtype.name}, {-limit:g} to {limit:g}")
  for i in not_kept(wide, narrow) if int in types else ():
    if type(leaves[i]) is int and int(narrow[i]) != leaves[i]:
      _refuse(
        f"{at(i)}: found {found(leaves[i])}, allowed: integers that {dtype.name} holds exactly"
      )
  return narrow


def _integers(leaves: list, dtype: tf.DType, at: Callable[[int], str]) -> np.ndarray:
  _require_types(leaves, {int}, "an integer", at)
  if leaves and not (dtype.min <= min(leaves) and max(leaves) <= dtype.max):
    odd = next(i for i, leaf in enumerate(leaves) if not dtype.min <= leaf <= dtype.max)
    _refuse(
      f"{at(odd)}: found {found(leaves[odd])}, allowed: {dtype.name}, {dtype.min} to {dtype.max}"
    )
  return np.array(leaves, dtype.as_numpy_dtype)


def _strings(leaves: list, at: Callable[[int], str]) -> np.ndarray:
  allowed = 'a string or {"b64": "..."}'
  _require_types(leaves, {str, dict}, allowed, at)
  array = np.empty(len(leaves), object)
  for i, leaf in enumerate(leaves):
    if type(leaf) is dict and not is_base64(leaf):
      _refuse(f"{at(i)}: found {found(leaf)}, allowed: {allowed}")
    try:
      array[i] = leaf.encode() if type(leaf) is str else _decoded(leaf["b64"])
    except UnicodeEncodeError:
      _refuse(f"{at(i)}: found half a surrogate pair, allowed: Unicode; bytes go as base64")
    except (binascii.Error, ValueError):
      _refuse(f"{at(i)}: found {found(leaf['b64'])}, allowed: base64")
  return array


def _decoded(text: str) -> bytes:
  """Decodes base64 with or without its padding, as TensorFlow Serving does."""
  text = "".join(text.split()).rstrip("=")
  return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _require_types(
  leaves: list, allowed: set[type], description: str, at: Callable[[int], str]
) -> set[type]:
  types = set(map(type, leaves))
  if not types <= allowed:
    odd = next(i for i, leaf in enumerate(leaves) if type(leaf) not in allowed)
    _refuse(f"{at(odd)}: found {found(leaves[odd])}, allowed: {description}")
  return types


def _leaf_texts(flat: np.ndarray, name: str) -> list[str]:
  if flat.dtype == object or flat.dtype.kind == "S":
    return [_string_text(leaf, name) for leaf in flat.tolist()]
  if flat.dtype == bool:
    return ["true" if leaf else "false" for leaf in flat.tolist()]
  if flat.dtype.kind in "iu":
    return list(map(str, flat.tolist()))
  if tf.as_dtype(flat.dtype).is_floating:
    precise = flat if flat.dtype == np.float64 else flat.astype(np.float32)
    texts = list(map(str, precise))
    return texts if np.isfinite(precise).all() else [_NOT_FINITE.get(text, text) for text in texts]
  raise RequestError(Code.UNIMPLEMENTED, f"output {name}: {flat.dtype} has no form in JSON")


def _string_text(value: bytes, name: str) -> str:
  if name.endswith(BYTES_SUFFIX):
    return f'{{"b64": "{base64.b64encode(value).decode()}"}}'
  try:
    return json.dumps(value.decode())
  except UnicodeDecodeError:
    raise RequestError(
      Code.INTERNAL,
      f"output {name}: found bytes that are no UTF-8, allowed: UTF-8, or a name that ends in "
      f"{BYTES_SUFFIX}; over gRPC it can be had",
    ) from None


def found(value: Any) -> str:
  """Returns a JSON value for a message, shortened."""
  if type(value) is list:
    return f"a list of {len(value)}"
  if type(value) is dict:
    return "{}" if not value else f"an object with {', '.join(map(found, list(value)[:3]))}"
  if type(value) is int and abs(value) >= 10**40:
    return f"an integer of {value.bit_length()} bits"
  text = json.dumps(value)
  return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(message: str) -> NoReturn:
  raise RequestError(Code.INVALID_ARGUMENT, message)

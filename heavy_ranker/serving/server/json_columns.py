"""A fast reader for large bodies of numbers: Arrow's, which leaves other threads running.

The standard library's parser makes an object of each number and holds the interpreter while it
does, a second for 1500 candidates. Here a body is read straight into arrays, given that it looks
as the signature says. Whatever is out of the ordinary (NaN, null, a missing input, a list too
short) ends in None, and the ordinary reader decides, with its messages.
"""

import re
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import pyarrow as pa
import tensorflow as tf
from pyarrow import json as arrow_json

from heavy_ranker.serving.server import json_tensors

# Below this the ordinary reader is as fast.
MIN_BYTES = 2**17
_SIGNATURE = re.compile(rb'"signature_name"\s*:\s*"([A-Za-z0-9_.\-]+)"')
# Of 2**24 or more. What looks like one elsewhere only costs time.
_LARGE_INTEGER = re.compile(rb"[\[,:\s-][0-9]{8,}[\],}\s]")
_FORM = re.compile(rb'"(instances|inputs)"\s*:')


class _Unusual(Exception):
  """The body is for the ordinary reader."""


def parse(
  body: bytes, signatures: Mapping[str, Any], default_signature: str
) -> Optional[tuple[str, bool, dict[str, np.ndarray]]]:
  """Reads a large body whose inputs are all numbers and given by name.

  Args:
    body: as it came.
    signatures: `LoadedVersion.signatures`.
    default_signature: for a body without signature_name.

  Returns:
    The signature's name, whether the body is in row form, and the tensors; None for whatever
    `json_predict` has to look at.
  """
  form, signature = _FORM.search(body), _SIGNATURE.search(body)
  if len(body) < MIN_BYTES or form is None or (signature is None and b"signature_name" in body):
    return None
  key = form[1].decode()
  name = signature[1].decode() if signature else default_signature
  if name not in signatures or not all(map(_is_numeric, signatures[name].inputs.values())):
    return None
  inputs = signatures[name].inputs
  row_form = key == "instances"
  try:
    table = _read(body, key, inputs, row_form)
    if table["signature_name"].to_pylist() != [name if signature else None]:
      return None  # What looked like the signature's name stood somewhere else.
    values = table[key].chunk(0)
    if row_form:
      values = _elements(values)[0]
    _require(values.null_count == 0)
    tensors = {n: _tensor(body, values, n, info, row_form) for n, info in inputs.items()}
    return name, row_form, tensors
  except (pa.ArrowException, _Unusual):
    return None


def _is_numeric(info: Any) -> bool:
  known = info.dtype in (tf.float32, tf.float64) or (
    info.dtype.is_integer and not info.dtype.is_quantized and info.dtype != tf.uint64
  )
  return known and info.shape is not None


def _read(body: bytes, key: str, inputs: Mapping[str, Any], row_form: bool) -> pa.Table:
  fields = []
  for name, info in inputs.items():
    kind = pa.float64() if info.dtype.is_floating else pa.int64()
    for _ in info.shape[1:] if row_form else info.shape:
      kind = pa.list_(kind)
    fields.append((name, kind))
  kind = pa.list_(pa.struct(fields)) if row_form else pa.struct(fields)
  table = arrow_json.read_json(
    pa.BufferReader(body),
    # One thread: requests come in parallel, and the others' share of the cores is theirs.
    arrow_json.ReadOptions(use_threads=False, block_size=len(body) + 1),
    arrow_json.ParseOptions(
      explicit_schema=pa.schema([("signature_name", pa.string()), (key, kind)]),
      unexpected_field_behavior="error",
    ),
    # The system's: what a large request took goes back when it is answered.
    pa.system_memory_pool(),
  )
  _require(table.num_rows == 1 and table[key].num_chunks == 1)
  return table


def _tensor(
  body: bytes, values: pa.StructArray, name: str, info: Any, row_form: bool
) -> np.ndarray:
  array = values.field(name)
  shape = [len(array)] if row_form else []
  while pa.types.is_list(array.type):
    array, size = _elements(array)
    shape.append(size)
  _require(array.null_count == 0 and len(array) > 0)
  return _converted(body, array.to_numpy(), info.dtype).reshape(shape)


def _elements(lists: pa.ListArray) -> tuple[pa.Array, int]:
  """Returns all elements of lists of the same length, and the length."""
  _require(lists.null_count == 0 and len(lists) > 0)
  sizes = np.diff(lists.offsets.to_numpy())
  _require((sizes == sizes[0]).all())
  return lists.flatten(), int(sizes[0])


def _converted(body: bytes, flat: np.ndarray, dtype: tf.DType) -> np.ndarray:
  if dtype.is_integer:
    _require(dtype.min <= flat.min() and flat.max() <= dtype.max)
    return flat.astype(dtype.as_numpy_dtype)
  narrow = json_tensors.narrowed(flat, dtype)
  _require(np.isfinite(narrow).all())
  _require(json_tensors.not_kept(flat, narrow).size == 0 or not _LARGE_INTEGER.search(body))
  return narrow


def _require(usual: bool) -> None:
  if not usual:
    raise _Unusual

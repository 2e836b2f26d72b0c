"""Cells -> numbers, booleans, texts, times: whole columns at once, with the first bad cell named.

A cell is missing if it is null, empty or NaN. Texts are read as what they say, so that a CSV file
and a Parquet file of the same table give the same numbers.
"""

from typing import Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecords.ingestion.block import Block
from tfrecords.ingestion.mapping_entries import UNITS_A_SECOND, TimeUnit

_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|Inf|infinity|nan|NaN)$"
_WHOLE = r"^[+-]?\d+$"
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_EXACT = 2**53
_TRUE, _FALSE = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]
_DEFAULTS = "or say in the mapping what stands for it (missing: or invalid:)"


def is_missing(block: Block, name: str) -> pa.BooleanArray:
  """Tells which cells of a column are null, empty or NaN."""
  array = block.column(name)
  missing = pc.is_null(array, nan_is_null=True)
  if is_text(array.type):
    missing = pc.or_(missing, pc.fill_null(pc.equal(array, ""), True))
  return missing


def texts(block: Block, name: str) -> pa.StringArray:
  """Returns a column as texts, null where a cell is missing."""
  array = block.column(name)
  if not is_text(array.type):
    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
      raise _wrong_type(block, name, array, "texts or numbers")
    array = pc.cast(array, pa.string())
  array = pc.cast(array, pa.string())
  return pc.if_else(is_missing(block, name), pa.scalar(None, pa.string()), array)


def numbers(block: Block, name: str) -> Union[pa.Int64Array, pa.DoubleArray]:
  """Returns a column as int64 if all cells are whole numbers, else as float64; null if missing.

  Raises:
    DataError: a cell is no number.
  """
  array, invalid = _numeric(block, name)
  if invalid is not None:
    row = int(np.argmax(invalid))
    raise block.error(row, name, "", "allowed: a number")
  return array


def floats(
  block: Block, name: str, missing: Union[str, float], invalid: Union[str, float]
) -> np.ndarray:
  """Returns a column as float64 numbers that float32 can hold.

  Args:
    block: the rows.
    name: the column.
    missing: what stands for a missing cell: "error", "nan", or a number.
    invalid: what stands for one that is infinite, too large for float32, or no number.

  Raises:
    DataError: there is such a cell, and it is an error.
  """
  array, bad = _numeric(block, name)
  numeric = _to_float64(array)
  absent = np.isnan(numeric)
  with np.errstate(invalid="ignore"):
    too_large = np.abs(numeric) > _LARGEST_FLOAT
  if bad is not None:
    absent &= ~bad
    too_large |= bad
  numeric = substitute(block, name, numeric, absent, missing, "a number")
  return substitute(block, name, numeric, too_large, invalid, "a finite number of float32's range")


def integers(
  block: Block, name: str, missing: Union[str, float], invalid: Union[str, float] = "error"
) -> np.ndarray:
  """Returns a column as int64, exactly; see `floats` for the arguments and errors."""
  array = block.column(name)
  if is_text(array.type):
    result, bad = _whole_texts(array)
  elif pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
    numeric = _to_float64(array)
    with np.errstate(invalid="ignore"):
      bad = ~np.isnan(numeric) & ((np.abs(numeric) > _EXACT) | (numeric != np.floor(numeric)))
    result = np.where(np.isnan(numeric) | bad, 0, numeric).astype(np.int64)
  elif pa.types.is_uint64(array.type):
    bad = pc.fill_null(pc.greater(array, pa.scalar(2**63 - 1, pa.uint64())), False)
    bad = bad.to_numpy(zero_copy_only=False)
    result = pc.fill_null(array, 0).to_numpy(zero_copy_only=False).astype(np.int64)
  else:
    found, bad = _numeric(block, name)
    result = pc.fill_null(found, 0).to_numpy(zero_copy_only=False).astype(np.int64)
  absent = is_missing(block, name).to_numpy(zero_copy_only=False)
  result = substitute(block, name, result, absent, missing, "a whole number")
  if bad is None:
    return result
  return substitute(block, name, result, bad & ~absent, invalid, "a whole number of 64 bits")


def booleans(block: Block, name: str) -> pa.BooleanArray:
  """Returns a column as booleans, null where missing: true, false, 0 and 1 are such.

  Raises:
    DataError: a cell is none.
  """
  array = block.column(name)
  if pa.types.is_null(array.type):
    return pc.cast(array, pa.bool_())
  if pa.types.is_boolean(array.type):
    return array
  missing = is_missing(block, name)
  if is_text(array.type):
    is_true = pc.is_in(array, value_set=pa.array(_TRUE, array.type))
    is_false = pc.is_in(array, value_set=pa.array(_FALSE, array.type))
  else:
    found = numbers(block, name)
    is_true = pc.fill_null(pc.equal(found, 1), False)
    is_false = pc.fill_null(pc.equal(found, 0), False)
  bad = pc.invert(pc.or_(missing, pc.or_(is_true, is_false))).to_numpy(zero_copy_only=False)
  if bad.any():
    raise block.error(int(np.argmax(bad)), name, "", "allowed: 0, 1, true or false")
  return pc.if_else(missing, pa.scalar(None, pa.bool_()), is_true)


def times(block: Block, name: str, unit: TimeUnit) -> np.ndarray:
  """Returns timestamps in seconds since 1970 UTC, float64, NaN where missing.

  Args:
    block: the rows.
    name: a column of a timestamp or date type, or of numbers.
    unit: what the numbers count.

  Raises:
    DataError: a cell is neither.
  """
  array = block.column(name)
  if pa.types.is_temporal(array.type):
    return _to_float64(pc.cast(to_unit(array, "us"), pa.int64())) / 1e6
  return _to_float64(numbers(block, name)) / UNITS_A_SECOND[unit]


def to_unit(array: pa.Array, unit: TimeUnit) -> pa.Array:
  """Returns a column of a timestamp or date type as timestamps of the given unit."""
  zone = getattr(array.type, "tz", None)
  return pc.cast(array, pa.timestamp(unit, zone), safe=False)


def substitute(
  block: Block,
  name: str,
  array: np.ndarray,
  where: np.ndarray,
  by: Union[str, float],
  allowed: str,
) -> np.ndarray:
  """Replaces the cells `where` says, or raises a DataError that names the first of them."""
  if not where.any():
    return array
  if by == "error":
    row = int(np.argmax(where))
    raise block.error(row, name, "", f"allowed: {allowed}. Mend it, {_DEFAULTS}")
  return np.where(where, np.nan if by == "nan" else by, array).astype(array.dtype)


def is_text(kind: pa.DataType) -> bool:
  """Tells whether a column holds texts."""
  return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _numeric(block: Block, name: str) -> tuple[pa.Array, Union[np.ndarray, None]]:
  """Returns int64 or float64, null where missing or bad, and which are bad, or None."""
  array = block.column(name)
  kind = array.type
  if is_text(kind):
    return _numeric_texts(array)
  if pa.types.is_null(kind) or pa.types.is_boolean(kind):
    return pc.cast(array, pa.int64()), None
  if pa.types.is_uint64(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
    array = pc.cast(array, pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array), None
  if pa.types.is_integer(kind):
    return pc.cast(array, pa.int64()), None
  if pa.types.is_date32(kind):
    return pc.cast(pc.cast(array, pa.int32()), pa.int64()), None
  if pa.types.is_temporal(kind):
    return pc.cast(array, pa.int64()), None
  raise _wrong_type(block, name, array, "numbers")


def _numeric_texts(array: pa.Array) -> tuple[pa.Array, Union[np.ndarray, None]]:
  array = pc.utf8_trim_whitespace(array)
  array = pc.if_else(pc.equal(array, ""), pa.scalar(None, array.type), array)
  for kind in (pa.int64(), pa.float64()):
    try:
      found = pc.cast(array, kind)
    except pa.ArrowInvalid:
      continue
    if kind == pa.float64():
      found = pc.if_else(pc.is_nan(found), pa.scalar(None, kind), found)
    return found, None
  is_number = pc.match_substring_regex(array, _NUMBER)
  good = pc.if_else(is_number, array, pa.scalar(None, array.type))
  bad = pc.fill_null(pc.invert(is_number), False).to_numpy(zero_copy_only=False)
  return pc.cast(good, pa.float64()), bad


def _whole_texts(array: pa.Array) -> tuple[np.ndarray, Union[np.ndarray, None]]:
  array = pc.utf8_trim_whitespace(array)
  array = pc.if_else(pc.equal(array, ""), pa.scalar(None, array.type), array)
  try:
    return _filled(pc.cast(array, pa.int64())), None
  except pa.ArrowInvalid:
    pass
  fits = pc.fill_null(pc.match_substring_regex(array, _WHOLE), False).to_numpy(zero_copy_only=False)
  long = pc.fill_null(pc.greater(pc.utf8_length(array), 18), False).to_numpy(zero_copy_only=False)
  for row in np.flatnonzero(fits & long):
    fits[row] = -(2**63) <= int(array[int(row)].as_py()) < 2**63
  good = pc.if_else(pa.array(fits), array, pa.scalar(None, array.type))
  present = pc.is_valid(array).to_numpy(zero_copy_only=False)
  # Arrow's own parser takes no plus sign.
  return _filled(pc.cast(pc.utf8_ltrim(good, "+"), pa.int64())), present & ~fits


def _filled(array: pa.Int64Array) -> np.ndarray:
  return pc.fill_null(array, 0).to_numpy(zero_copy_only=False)


def _to_float64(array: pa.Array) -> np.ndarray:
  return pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _wrong_type(block: Block, name: str, array: pa.Array, allowed: str) -> Exception:
  rows = np.flatnonzero(pc.is_valid(array).to_numpy(zero_copy_only=False))
  row = int(rows[0]) if len(rows) else 0
  return block.error(row, name, f" of type {array.type}", f"allowed: {allowed}")

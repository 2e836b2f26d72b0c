"""Lists of columns in a configuration: numbers and ranges, spelled out."""

import re
from typing import Annotated, Any

import pydantic

from tfrecords.config.strict_model import describe, inconsistent

# Far beyond any feature: a slip of the keyboard must not fill the memory.
_COLUMNS_BELOW = 1_000_000
_COLUMNS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
ALLOWED_COLUMNS = (
  f'columns such as 7, ranges such as "10-20" (20 included), all below {_COLUMNS_BELOW}'
)


def spelled_out(name: str, entries: list[Any], first_position: int = 0) -> list[Any]:
  """Returns the columns one by one: 3, "5-7" -> 3, 5, 6, 7; booleans stay, to be refused later.

  Args:
    name: what the list is called, for the message.
    entries: as the file has them.
    first_position: place of the first of them in the file's list, for the message.

  Raises:
    ValueError: an entry is neither a number nor a range.
  """
  columns: list[Any] = []
  for position, entry in enumerate(entries, first_position):
    if isinstance(entry, bool):
      columns.append(entry)  # For the base class to refuse.
      continue
    match = _COLUMNS.fullmatch(str(entry)) if isinstance(entry, (int, str)) else None
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
      where = f"{name}.{position}" if name else f"{position}"
      raise inconsistent(f"{where}: found {describe(entry)}, allowed: {ALLOWED_COLUMNS}")
    columns += range(first, last + 1)
  return columns


def _distinct(value: Any) -> Any:
  if not isinstance(value, list):
    return value
  columns: list[Any] = []
  for position, entry in enumerate(value):
    found = spelled_out("", [entry], position)
    twice = next((column for column in found if column in columns), None)
    if twice is not None:
      raise inconsistent(f"{position}: column {twice} is listed twice, allowed: once")
    columns += found
  return columns


# Columns of one input, each once.
Columns = Annotated[list[pydantic.NonNegativeInt], pydantic.BeforeValidator(_distinct)]

"""The file of `//heavy_ranker:importance --groups`: which columns belong together."""

import re
from collections.abc import Mapping
from typing import Any, Optional, Union

import pydantic

from tfrecords.config import yaml_file
from tfrecords.config.strict_model import StrictModel, describe, inconsistent, validate
from tfrecords.errors import ConfigError

# What --single_features says instead of a group.
ALL, NONE = "all", "none"
_SPAN = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")


class FeatureGroupPart(StrictModel):
  """Columns of one of the model's inputs.

  Attributes:
    input: the input's name inside the model.
    columns: their places in the record, before anything is truncated or sliced: numbers and spans
      such as "5-20", which both ends belong to; all columns of the input when absent.
    names: what the columns are called, one name each in the order of `columns`; they are called
      INPUT[COLUMN] when absent.
  """

  input: str
  columns: Optional[list[Union[int, str]]] = pydantic.Field(default=None, min_length=1)
  names: Optional[list[str]] = None

  @pydantic.field_validator("columns", mode="before")
  @classmethod
  def _as_list(cls, value: Any) -> Any:
    return [value] if isinstance(value, (int, str)) and not isinstance(value, bool) else value

  @pydantic.model_validator(mode="after")
  def _check(self) -> "FeatureGroupPart":
    for column in self.columns or ():
      span = _span(column)
      if span is None or not span:
        raise inconsistent(
          f"columns: found {column!r}, allowed: numbers from 0 and spans such as '5-20'"
        )
    return self

  def spans(self) -> Optional[list[range]]:
    """Returns the columns as ranges, which may be far too long to list; None for all of them."""
    if self.columns is None:
      return None
    return [_span(column) for column in self.columns]


def read_feature_groups(path: str) -> dict[str, list[FeatureGroupPart]]:
  """Reads a YAML or JSON file: group -> a part, or a list of parts.

  Args:
    path: the file.

  Returns:
    The parts of each group, in the order of the file.

  Raises:
    ConfigError: the file cannot be used.
  """
  content = yaml_file.read(path)
  if not content:
    raise ConfigError(f"{path}: found no group, allowed: at least one")
  return {_name(group, path): _parts(group, value, path) for group, value in content.items()}


def _name(group: Any, path: str) -> str:
  if not isinstance(group, str) or not group.strip() or group in (ALL, NONE):
    raise ConfigError(
      f"{path}: found a group named {group!r}, allowed: text other than {ALL} and {NONE}, which "
      "--single_features means something else by"
    )
  return group


def _parts(group: str, value: Any, path: str) -> list[FeatureGroupPart]:
  listed = value if isinstance(value, list) else [value]
  if not listed or not all(isinstance(each, Mapping) for each in listed):
    raise ConfigError(
      f"{path}: {group}: found {describe(value)}, allowed: a mapping with the keys "
      f"{', '.join(FeatureGroupPart.model_fields)}, or a list of such"
    )
  return [validate(FeatureGroupPart, each, f"{path}: {group}") for each in listed]


def _span(column: Union[int, str]) -> Optional[range]:
  match = _SPAN.fullmatch(str(column))
  if match is None:
    return None
  first = int(match[1])
  return range(first, int(match[2] or first) + 1)

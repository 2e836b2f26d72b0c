"""The `export` section: what a SavedModel is made of, and what it offers beside scoring."""

from typing import Any, Optional

import pydantic

from heavy_ranker.config.columns import ALLOWED_COLUMNS, spelled_out
from heavy_ranker.config.export_precision import ExportPrecision
from tfrecords.config.strict_model import StrictModel, inconsistent


class RankConfig(StrictModel):
  """What the signature `rank` takes once for all candidates, since it belongs to the user.

  Attributes:
    user_features: inputs of the model that are the user's as a whole; when absent, those of
      `user_embedding`, `user_eng_embedding` and `meta__user_id` that the model has.
    user_columns: input -> the columns that are the user's, by their place after preprocessing,
      which is their place in `serving_default`. Numbers, or ranges such as "10-20" (20 included).
  """

  user_features: Optional[list[str]] = None
  user_columns: dict[str, list[pydantic.NonNegativeInt]] = pydantic.Field(default_factory=dict)

  @pydantic.field_validator("user_columns", mode="before")
  @classmethod
  def _spell_out(cls, value: Any) -> Any:
    if not isinstance(value, dict):
      return value
    return {
      name: spelled_out(name, entries) if isinstance(entries, list) else entries
      for name, entries in value.items()
    }

  @pydantic.model_validator(mode="after")
  def _check_once(self) -> "RankConfig":
    whole = self.user_features or []
    twice = next((name for name in whole if whole.count(name) > 1), None)
    if twice is not None:
      raise inconsistent(f"user_features: {twice!r} stands in it twice, allowed: once")
    for name, columns in self.user_columns.items():
      if name in whole:
        raise inconsistent(
          f"user_columns.{name}: found an input of user_features, which has all its columns; "
          "allowed: in one of the two"
        )
      if not columns:
        raise inconsistent(f"user_columns.{name}: found no column, allowed: {ALLOWED_COLUMNS}")
      seen: set[int] = set()
      for column in columns:
        if column in seen:
          raise inconsistent(f"user_columns.{name}: column {column} is listed twice, allowed: once")
        seen.add(column)
    return self


class ExportConfig(ExportPrecision):
  """What `//heavy_ranker:export` writes."""

  rank: RankConfig = pydantic.Field(default_factory=RankConfig)

"""What a mapping says about columns: how each becomes part of a feature, an id, a label."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Optional, Union

import pydantic

from tfrecords.config.strict_model import StrictModel, inconsistent

TimeUnit = Literal["s", "ms", "us", "ns"]
UNITS_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}

# What stands for a value that is not there: a number, "nan", or an error.
Substitute = Union[Literal["error", "nan"], pydantic.FiniteFloat]
Category = Union[int, str]


class Step(StrictModel):
  """One arithmetic step on a continuous value.

  Attributes:
    log1p_abs: x -> sign(x) log(1 + |x|).
    clip: [lowest, highest].
    scale: x -> x scale.
    add: x -> x + add.
  """

  exactly_one_of = (("log1p_abs", "clip", "scale", "add"),)

  log1p_abs: Optional[Literal[True]] = None
  clip: Optional[list[pydantic.FiniteFloat]] = pydantic.Field(
    default=None, min_length=2, max_length=2
  )
  scale: Optional[pydantic.FiniteFloat] = None
  add: Optional[pydantic.FiniteFloat] = None

  @pydantic.model_validator(mode="after")
  def _check_clip(self) -> "Step":
    if self.clip is not None and self.clip[0] >= self.clip[1]:
      raise inconsistent(f"clip: found {self.clip}, allowed: [lowest, highest]")
    return self


class Clock(StrictModel):
  """The hour of the day, 0 to 23, or the day of the week, Monday 0, of a timestamp.

  Attributes:
    unit: what the column counts since 1970 UTC; not needed for columns of a timestamp type.
    utc_offset_hours: of the clock on the wall.
  """

  unit: TimeUnit = "s"
  utc_offset_hours: Annotated[float, pydantic.Field(ge=-14, le=14)] = 0.0


class Age(StrictModel):
  """How long before another timestamp this one was.

  Attributes:
    at: the later column, such as the impression's time; of the same unit.
    unit: what both columns count since 1970 UTC.
    count_in: what the age is counted in.
  """

  at: str
  unit: TimeUnit = "s"
  count_in: Literal["seconds", "minutes", "hours", "days"] = "days"


class ColumnsEntry(StrictModel):
  """Columns of the table that are treated alike.

  Attributes:
    column: one column, or
    columns: several, in order; a `*` in a name stands for any text, and means the columns of the
      first file it fits, in the table's order.
    missing: what an empty cell, a null or a NaN becomes.
    invalid: what a cell becomes that is infinite, no number, or too large for its dtype.
  """

  exactly_one_of: ClassVar = (("column", "columns"),)

  column: Optional[str] = None
  columns: Optional[list[str]] = pydantic.Field(default=None, min_length=1)
  missing: Substitute = "error"
  invalid: Substitute = "error"

  @property
  def names(self) -> list[str]:
    """The columns, as the mapping has them."""
    return [self.column] if self.column is not None else list(self.columns)


class ContinuousEntry(ColumnsEntry):
  """Numbers, or numbers made of times and lists; then `transform`, step by step.

  Attributes:
    count_items: the number of items of a list; of a text, those between `separator`.
    separator: between the items of a text.
    hour, weekday: of a timestamp.
    age: of a timestamp.
    transform: arithmetic, in order; NaN stays NaN.
  """

  at_most_one_of: ClassVar = (("count_items", "hour", "weekday", "age"),)

  count_items: Optional[Literal[True]] = None
  separator: Optional[str] = pydantic.Field(default=None, min_length=1)
  hour: Optional[Clock] = None
  weekday: Optional[Clock] = None
  age: Optional[Age] = None
  transform: list[Step] = pydantic.Field(default_factory=list)

  @pydantic.field_validator("transform", mode="before")
  @classmethod
  def _names_are_steps(cls, value: Any) -> Any:
    steps = value if isinstance(value, list) else [value]
    return [{step: True} if isinstance(step, str) else step for step in steps]

  @pydantic.model_validator(mode="after")
  def _check_separator(self) -> "ContinuousEntry":
    return _with_list(self, "count_items")


class BinaryEntry(ColumnsEntry):
  """0 or 1: numbers and booleans as they are, or one column for each of some values.

  Attributes:
    present: 1 where the cell holds anything.
    one_hot: a column for each of these values; of a list, 1 for each that is in it.
    separator: the cells are texts that hold lists.
  """

  at_most_one_of: ClassVar = (("present", "one_hot"),)

  present: Optional[Literal[True]] = None
  one_hot: Optional[list[Category]] = pydantic.Field(default=None, min_length=1)
  separator: Optional[str] = pydantic.Field(default=None, min_length=1)

  @pydantic.model_validator(mode="after")
  def _check_values(self) -> "BinaryEntry":
    for key in ("missing", "invalid"):
      value = getattr(self, key)
      if value not in ("error", 0.0, 1.0):
        raise inconsistent(f"{key}: found {value}, allowed: error, 0 or 1")
    _require_distinct("one_hot", self.one_hot)
    return _with_list(self, "one_hot")


class Hash(StrictModel):
  """1 + hash modulo `buckets`, and 0 where nothing is."""

  buckets: Annotated[int, pydantic.Field(ge=1, le=2**62)]


class Vocabulary(StrictModel):
  """1 + rank by frequency in the training part, and 0 for all else; ties in order of the text.

  Attributes:
    max_size: only the most frequent values have a number of their own.
    min_count: only values seen as often in the training part.
  """

  max_size: Annotated[int, pydantic.Field(ge=1, le=10_000_000)] = 100_000
  min_count: pydantic.PositiveInt = 1


class DiscreteEntry(ColumnsEntry):
  """Whole numbers as they are, or the numbers of categories, 0 for what has none.

  Attributes:
    hash, vocabulary, values: how a category gets its number; `values` counts from 1 on.
    hour, weekday: of a timestamp; 1 + the hour or day, and 0 where there is none.
  """

  at_most_one_of: ClassVar = (("hash", "vocabulary", "values", "hour", "weekday"),)

  hash: Optional[Hash] = None
  vocabulary: Optional[Vocabulary] = None
  values: Optional[list[Category]] = pydantic.Field(default=None, min_length=1)
  hour: Optional[Clock] = None
  weekday: Optional[Clock] = None

  @pydantic.model_validator(mode="after")
  def _check_values(self) -> "DiscreteEntry":
    for key in ("missing", "invalid"):
      value = getattr(self, key)
      if value == "nan" or (isinstance(value, float) and not value.is_integer()):
        raise inconsistent(f"{key}: found {value}, allowed: error or a whole number")
      if self.is_coded and key in self.model_fields_set:
        raise inconsistent(f"{key}: found {value}, allowed: nothing; what has no number becomes 0")
    _require_distinct("values", self.values)
    return self

  @property
  def is_coded(self) -> bool:
    """Categories get numbers, and 0 stands for whatever has none."""
    return any(getattr(self, key) is not None for key in self.at_most_one_of[0])


class EmbeddingEntry(StrictModel):
  """A ready-made vector: a list column, or a text with `separator` between the numbers.

  Attributes:
    length: how many numbers each has.
    missing: what an absent one becomes: an error, or this number all over.
  """

  column: str
  length: pydantic.PositiveInt
  separator: Optional[str] = pydantic.Field(default=None, min_length=1)
  missing: Union[Literal["error"], pydantic.FiniteFloat] = "error"


class IdEntry(StrictModel):
  """An id of 64 bits.

  Attributes:
    hash: texts and numbers become 63 bits of a hash; 0 where nothing is.
    missing: what an absent one becomes: an error, or this number.
  """

  column: str
  hash: bool = False
  missing: Union[Literal["error"], int] = "error"


class LabelEntry(StrictModel):
  """A task's label.

  Attributes:
    expression: true for a positive, see `tfrecords.ingestion.expressions`.
    may_be_constant: it need not be true in some rows of the training part and false in others.
    score_weight: what the engagement is worth in the score of the training configuration.
  """

  expression: str
  may_be_constant: bool = False
  score_weight: pydantic.FiniteFloat = 1.0


def texts_are(key: str) -> Any:
  """Returns a validator that takes texts, in a mapping of sections, for sections of that key."""

  def convert(value: Any) -> Any:
    if not isinstance(value, Mapping):
      return value
    return {name: {key: of} if isinstance(of, str) else of for name, of in value.items()}

  return pydantic.BeforeValidator(convert)


def _with_list(entry: Any, key: str) -> Any:
  if entry.separator is not None and getattr(entry, key) is None:
    raise inconsistent(f"separator: found without {key}, allowed: with {key}, which reads lists")
  return entry


def _require_distinct(key: str, values: Optional[list]) -> None:
  texts = [str(value) for value in values or ()]
  twice = sorted({text for text in texts if texts.count(text) > 1})
  if twice:
    raise inconsistent(f"{key}: found {twice[0]!r} twice, allowed: once")

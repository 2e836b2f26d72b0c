"""The mapping: how a table becomes records. One YAML file, see docs/ingestion.md."""

import datetime
from typing import Annotated, Any, Literal, Optional, Union

import pydantic

from tfrecords.config import yaml_file
from tfrecords.config.strict_model import StrictModel, did_you_mean, inconsistent, validate
from tfrecords.ingestion.mapping_entries import (
  UNITS_A_SECOND,
  BinaryEntry,
  ContinuousEntry,
  DiscreteEntry,
  EmbeddingEntry,
  IdEntry,
  LabelEntry,
  TimeUnit,
  texts_are,
)

Format = Literal["csv", "parquet", "jsonl"]
TRAIN = "train"
DENSE = ("continuous", "binary", "discrete")
_RESERVED = ("features", "schema", "config", "vocabularies")

PartName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
FeatureName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Boundary = Union[int, float, str]


class CsvFormat(StrictModel):
  """How a CSV file is written.

  Attributes:
    columns: names of the columns, for files without a header; else the first line names them.
    delimiter: between the fields.
    quote: around fields that hold the delimiter; false for none.
    newlines_in_values: quoted fields may hold line breaks; such a file is read by one process.
    null_values: texts that mean nothing is there.
  """

  columns: Optional[list[str]] = pydantic.Field(default=None, min_length=1)
  delimiter: Annotated[str, pydantic.Field(min_length=1, max_length=1)] = ","
  quote: Union[Literal[False], Annotated[str, pydantic.Field(min_length=1, max_length=1)]] = '"'
  newlines_in_values: bool = False
  null_values: list[str] = pydantic.Field(default_factory=lambda: [""])


class Part(StrictModel):
  """Rows that go together, such as those to train on.

  Attributes:
    at_least, below: a range of the split's column, the upper end excluded; an ISO date or time
      (UTC) stands for what the column counts.
    files: instead, the rows of the input files whose name fits this glob.
    may_be_empty: without a row the part is left out; else that is an error.
    unlabelled: the rows have no labels: nothing trains or is measured on them.
  """

  at_least: Optional[Boundary] = None
  below: Optional[Boundary] = None
  files: Optional[str] = None
  may_be_empty: bool = False
  unlabelled: bool = False

  @pydantic.model_validator(mode="before")
  @classmethod
  def _dates_are_texts(cls, data: Any) -> Any:
    # YAML takes 2022-04-25 for a date.
    if not isinstance(data, dict):
      return data
    is_date = {key for key, value in data.items() if isinstance(value, datetime.date)}
    return {key: value.isoformat() if key in is_date else value for key, value in data.items()}

  @pydantic.model_validator(mode="after")
  def _check_range(self) -> "Part":
    has_range = self.at_least is not None or self.below is not None
    if has_range == (self.files is not None):
      raise inconsistent(
        "at_least: found both or neither of a range (at_least, below) and files, allowed: one"
      )
    return self


class Split(StrictModel):
  """Which rows form which part; rows of no part are left out and counted.

  Attributes:
    column: what the ranges are of.
    unit: what the column counts since 1970 UTC, where ranges are given as dates.
    parts: one is named train.
  """

  column: Optional[str] = None
  unit: Optional[TimeUnit] = None
  parts: dict[PartName, Part]

  @pydantic.model_validator(mode="after")
  def _check_parts(self) -> "Split":
    if TRAIN not in self.parts:
      raise inconsistent(
        f"parts: found {', '.join(self.parts) or 'none'}, allowed: {TRAIN} among them"
      )
    if self.parts[TRAIN].may_be_empty or self.parts[TRAIN].unlabelled:
      raise inconsistent(f"parts.{TRAIN}: found no rows or no labels, allowed: both")
    ranges = {}
    for name, part in self.parts.items():
      if name in _RESERVED:
        raise inconsistent(f"parts.{name}: the name is taken, allowed: any other")
      if part.files is None and self.column is None:
        raise inconsistent(f"column: found none, allowed: the column of parts.{name}'s range")
      if part.files is None:
        ranges[name] = self.range_of(name)
    ordered = sorted(ranges, key=lambda name: ranges[name])
    for one, other in zip(ordered, ordered[1:]):
      if ranges[one][1] > ranges[other][0]:
        raise inconsistent(
          f"parts.{other}: its range begins before that of {one} ends, allowed: ranges apart"
        )
    return self

  def range_of(self, name: str) -> tuple[float, float]:
    """Returns the lower end and the upper one, which is excluded, of a part's range."""
    part = self.parts[name]
    low = self._number(part.at_least, f"parts.{name}.at_least", -float("inf"))
    high = self._number(part.below, f"parts.{name}.below", float("inf"))
    if not low < high:
      raise inconsistent(f"parts.{name}: found no value from at_least to below, allowed: some")
    return low, high

  def _number(self, boundary: Optional[Boundary], key: str, default: float) -> float:
    if boundary is None:
      return default
    if not isinstance(boundary, str):
      return boundary
    try:
      time = datetime.datetime.fromisoformat(boundary)
    except ValueError:
      raise inconsistent(
        f"{key}: found {boundary!r}, allowed: a number, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS"
      ) from None
    if self.unit is None:
      raise inconsistent(
        f"unit: found none beside the date {boundary!r}, allowed: what the column counts since "
        "1970: s, ms, us, ns"
      )
    time = time if time.tzinfo is not None else time.replace(tzinfo=datetime.timezone.utc)
    seconds = time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return seconds // datetime.timedelta(microseconds=1) * UNITS_A_SECOND[self.unit] // 10**6


class Downsampling(StrictModel):
  """Keeps a share of the rows that are positive in none of some tasks.

  A row is kept with the largest of its chances over the tasks listed: 1 where its label is
  positive, else the task's rate. The rates that result are counted, for all tasks, and written
  into the training configuration.

  Attributes:
    negatives: task -> share of its negatives to keep.
    parts: what is sampled.
  """

  negatives: dict[str, Annotated[float, pydantic.Field(gt=0.0, le=1.0)]]
  parts: list[str] = pydantic.Field(default_factory=lambda: [TRAIN])


class Output(StrictModel):
  """What is written.

  Attributes:
    examples_per_shard: how many records a file holds, about.
    compression: of the files.
    seed: of the order of the records, and of which negatives are kept.
    save_dir: of the runs of the training configuration; `run` beside it when absent.
    batch_size: of the training configuration.
    num_train_steps: of the training configuration; three times over the training part when absent.
  """

  examples_per_shard: pydantic.PositiveInt = 16384
  compression: Literal["gzip", "none"] = "gzip"
  seed: pydantic.NonNegativeInt = 0
  save_dir: Optional[str] = None
  batch_size: pydantic.PositiveInt = 512
  num_train_steps: Optional[pydantic.PositiveInt] = None


class Mapping(StrictModel):
  """How a table becomes records.

  Attributes:
    format: of the files, which may be compressed by gzip if they are text.
    inputs: globs of the files, unless --input names them.
    csv: how the files are written, if they are CSV.
    optional_columns: columns that a file may lack: everything in them is missing there, and its
      rows have no labels if those need them.
    continuous, binary, discrete: the parts of these features, side by side in order.
    embeddings, ids: by the feature's name.
    labels: by task; an expression, or a section.
    split: which rows are for training.
    downsampling: which rows are left out.
    output: what is written.
  """

  format: Format
  inputs: Union[list[str], str] = pydantic.Field(default_factory=list)
  csv: Optional[CsvFormat] = None
  optional_columns: list[str] = pydantic.Field(default_factory=list)
  continuous: list[ContinuousEntry] = pydantic.Field(min_length=1)
  binary: list[BinaryEntry] = pydantic.Field(default_factory=list)
  discrete: list[DiscreteEntry] = pydantic.Field(default_factory=list)
  embeddings: dict[FeatureName, EmbeddingEntry] = pydantic.Field(default_factory=dict)
  ids: Annotated[dict[FeatureName, IdEntry], texts_are("column")] = pydantic.Field(
    default_factory=dict
  )
  labels: Annotated[dict[str, LabelEntry], texts_are("expression")]
  split: Split
  downsampling: Optional[Downsampling] = None
  output: Output = pydantic.Field(default_factory=Output)

  @pydantic.model_validator(mode="after")
  def _check_names(self) -> "Mapping":
    if not self.labels:
      raise inconsistent("labels: found none, allowed: at least one task")
    names = [*DENSE, *self.embeddings, *self.ids, *self.labels]
    for name in names:
      if names.count(name) > 1:
        raise inconsistent(f"{name}: two features would bear this name, allowed: one")
    if self.csv is not None and self.format != "csv":
      raise inconsistent(f"csv: found with format {self.format}, allowed: with csv")
    return self

  @pydantic.model_validator(mode="after")
  def _check_downsampling(self) -> "Mapping":
    if self.downsampling is None:
      return self
    pairs = [("negatives", self.downsampling.negatives, self.labels)]
    pairs.append(("parts", self.downsampling.parts, self.split.parts))
    for key, names, known in pairs:
      for name in names:
        if name not in known:
          raise inconsistent(
            f"downsampling.{key}: found {name!r}{did_you_mean(name, known)}; allowed: "
            f"{', '.join(known)}"
          )
    for part in self.downsampling.parts:
      if self.split.parts[part].unlabelled:
        raise inconsistent(f"downsampling.parts: {part!r} has no labels, allowed: parts with some")
    return self


def load_mapping(path: str, overrides: tuple[str, ...] = ()) -> Mapping:
  """Reads a mapping.

  Args:
    path: the YAML file; `extends` and environment variables work as in a configuration.
    overrides: "dotted.key=yaml value" strings.

  Raises:
    ConfigError: the file cannot be read or used; names each key.
  """
  content, origin = yaml_file.read_with_origin(path, overrides)
  return validate(Mapping, content, origin)

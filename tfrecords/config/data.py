"""The `train_data` section and each partition of `validation_data`."""

from datetime import datetime
from typing import Annotated, Any, Callable, ClassVar, Literal, Optional

import pydantic
from pydantic_core import PydanticCustomError

from tfrecords import dated_folders
from tfrecords.config import yaml_file
from tfrecords.config.checks import DataChecks
from tfrecords.config.sampler import SamplerConfig
from tfrecords.config.sizes import BatchCount, BatchSize, BufferSize, Parallelism
from tfrecords.config.strict_model import StrictModel, inconsistent, validate

Dtype = Literal["bfloat16", "float16", "float32", "float64", "int32", "int64", "bool", "uint8"]

DISPATCHER_PREFIX = "grpc://"
_PARTITIONS = "validation_data"

# Ten years of hours: each is a folder to list.
_MOST_FOLDERS = 100_000

MantissaBits = Annotated[int, pydantic.Field(ge=0, le=23)]


class ExplicitDatetimeInputs(StrictModel):
  """Hourly folders `data_root/YYYY/MM/DD/HH`.

  Attributes:
    data_root: the folder above the years.
    end_datetime: the last hour, YYYY/MM/DD/HH; it is read, too.
    hours: how many hours, counted back from the last.
    num_missing_hours_tol: how many of their folders may be missing or empty.
  """

  data_root: str
  end_datetime: str
  hours: int = pydantic.Field(gt=0, le=_MOST_FOLDERS)
  num_missing_hours_tol: pydantic.NonNegativeInt = 0

  @pydantic.field_validator("end_datetime", mode="before")
  @classmethod
  def _check_end(cls, value: Any) -> Any:
    return _require_date(value, dated_folders.parse_hour, dated_folders.HOUR_FORMAT)

  @pydantic.model_validator(mode="after")
  def _check_range(self) -> "ExplicitDatetimeInputs":
    _require_range("hours", self.hours, dated_folders.parse_hour(self.end_datetime), hours=1)
    return self


class ExplicitDateInputs(StrictModel):
  """Daily folders `data_root/YYYY/MM/DD`.

  Attributes:
    data_root: the folder above the years.
    end_date: the last day, YYYY/MM/DD; it is read, too.
    days: how many days, counted back from the last.
    num_missing_days_tol: how many of their folders may be missing or empty.
  """

  data_root: str
  end_date: str
  days: int = pydantic.Field(gt=0, le=_MOST_FOLDERS)
  num_missing_days_tol: pydantic.NonNegativeInt = 0

  @pydantic.field_validator("end_date", mode="before")
  @classmethod
  def _check_end(cls, value: Any) -> Any:
    return _require_date(value, dated_folders.parse_date, dated_folders.DATE_FORMAT)

  @pydantic.model_validator(mode="after")
  def _check_range(self) -> "ExplicitDateInputs":
    _require_range("days", self.days, dated_folders.parse_date(self.end_date), hours=24)
    return self


def _require_date(value: Any, parse: Callable[[str], datetime], allowed: str) -> Any:
  try:
    parse(value)
  except (TypeError, ValueError):
    raise PydanticCustomError("date_format", "{allowed}", {"allowed": allowed}) from None
  return value


def _require_range(key: str, steps: int, end: datetime, hours: int) -> None:
  try:
    dated_folders.require_range(end, steps, hours)
  except OverflowError:
    raise inconsistent(
      f"{key}: found {steps}, allowed: as many as lie between the year 1 and the end"
    ) from None


class SegDenseSchema(StrictModel):
  """Which features the records hold, and what they are called inside the model.

  Attributes:
    schema_path: JSON file that lists every feature with dtype and length.
    features: the record's names to read; all of the schema's when absent.
    renamed_features: name inside the model -> name in the record.
    mask_mantissa_features: float feature, by its name inside the model -> how many of the 23
      mantissa bits, from the lowest on, become zero.
  """

  schema_path: str
  features: Optional[list[str]] = None
  renamed_features: dict[str, str] = pydantic.Field(default_factory=dict)
  mask_mantissa_features: Optional[dict[str, MantissaBits]] = None

  @pydantic.model_validator(mode="after")
  def _no_name_twice(self) -> "SegDenseSchema":
    names = list(self.renamed_features.values())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
      raise inconsistent(f"renamed_features: {twice[0]!r} is given two names, allowed: one")
    return self


class TaskSampling(StrictModel):
  """The share of a task's positive and negative examples that sampling kept, in (0, 1]."""

  pos_downsampling_rate: float = pydantic.Field(default=1.0, gt=0.0, le=1.0)
  neg_downsampling_rate: float = pydantic.Field(default=1.0, gt=0.0, le=1.0)


class TruncateAndSlice(StrictModel):
  """Keeps the first columns of a dense vector, then those a .npy mask file selects."""

  continuous_feature_truncation: Optional[pydantic.PositiveInt] = None
  binary_feature_truncation: Optional[pydantic.PositiveInt] = None
  continuous_feature_mask_path: Optional[str] = None
  binary_feature_mask_path: Optional[str] = None


class Downcast(StrictModel):
  """Rounds features to a smaller dtype: feature -> dtype. The model still gets float32."""

  features: dict[str, Dtype] = pydantic.Field(default_factory=dict)


class RectifyLabels(StrictModel):
  """Keeps a label only where impression and engagement came within a window after serving.

  Attributes:
    label_rectification_window_in_hours: both have to come sooner than this after serving.
    served_timestamp_field: a feature by its name inside the model, milliseconds; so are the others.
    impressed_timestamp_field: when the user saw it.
    label_to_engaged_timestamp_field: task -> when the user did it; other labels stay.
  """

  label_rectification_window_in_hours: float = pydantic.Field(default=3.0, gt=0, le=1e9)
  served_timestamp_field: str
  impressed_timestamp_field: str
  label_to_engaged_timestamp_field: dict[str, str]


class ExtractFeature(StrictModel):
  """One column of a dense tensor under a name of its own.

  Attributes:
    name: the new feature, inside the model; of width 1.
    source_tensor: the feature that holds it, by its name inside the model.
    index: the column, as it is after `truncate_and_slice`; -1 is the last one.
  """

  name: str
  source_tensor: str
  index: int


class ExtractFeatures(StrictModel):
  """Columns of dense tensors that become features of their own."""

  extract_feature_table: list[ExtractFeature]


class DownsampleNegatives(StrictModel):
  """Reads `batch_multiplier` batches, keeps the positives and fills up with negatives.

  Attributes:
    batch_multiplier: how many batches' records training reads for one batch.
    engagements_list: a record is positive if any of these tasks' labels is 1.
    num_engagements: how many labels the reference weights; labels have names here, so that it
      has no effect.
  """

  batch_multiplier: BatchCount
  engagements_list: list[str] = pydantic.Field(min_length=1)
  num_engagements: pydantic.PositiveInt


class Preprocess(StrictModel):
  """What happens to a parsed batch, in the order of the keys below.

  `downsample_negatives` is for training only, and `rectify_labels` no part of the export.
  """

  downsample_negatives: Optional[DownsampleNegatives] = None
  truncate_and_slice: Optional[TruncateAndSlice] = None
  downcast: Optional[Downcast] = None
  rectify_labels: Optional[RectifyLabels] = None
  extract_features: Optional[ExtractFeatures] = None


class DataConfig(StrictModel):
  """Where records lie, what they hold and how they become batches.

  Attributes:
    inputs: a glob of TFRecord files (gzip, zlib or uncompressed, recognised by content).
    explicit_datetime_inputs: the files of a range of hours, instead of `inputs`.
    explicit_date_inputs: the files of a range of days, instead of `inputs`.
    global_batch_size: examples a batch over all replicas together.
    num_files_to_keep: read only the first files of the sorted list.
    packed: the files are packed records, which `//tfrecords:pack` wrote.
    repeat_files: training goes over the files for ever (evaluation never does).
    file_batch_size: files that one of training's readers goes through one after the other; 1
      when absent.
    cache: keeps the files' records in memory, as they are serialized, from the first time on that
      they are read.
    data_service_dispatcher: "grpc://host:port" of a tf.data service that makes the batches.
    ignore_data_errors: bad records, and what comes after the damage in a damaged file, are left
      out, counted and reported instead of ending the run.
    dataset_service_compression: of the batches that the service sends: AUTO or NONE.
    examples_shuffle_buffer_size: examples in training's shuffle buffer; 0 or 1 turns it off.
    shuffle_seed: seed of every shuffle of this data.
    map_num_parallel_calls: parser threads; as many as pay off when absent.
    interleave_num_parallel_calls: files that training reads side by side.
    tasks: the labels and their sampling rates.
    evaluation_tasks: the tasks a partition measures; all of the model's when absent.
    sampler: reads only a share of the records; the tasks' rates have to be multiplied by hand.
    sampling_correction: how sampling is made good, exactly once: `weights` (weighted loss) or
      `calibration` (plain loss, recalibrated probabilities).
    missing_labels: what a record without a label means: `error`, or `zero` for a negative.
    checks: what `//tfrecords:validate` takes for an error or a warning; training does not look
      at it.
  """

  exactly_one_of = (("inputs", "explicit_datetime_inputs", "explicit_date_inputs"),)

  inputs: Optional[str] = None
  explicit_datetime_inputs: Optional[ExplicitDatetimeInputs] = None
  explicit_date_inputs: Optional[ExplicitDateInputs] = None
  global_batch_size: BatchSize
  num_files_to_keep: Optional[pydantic.PositiveInt] = None
  packed: bool = False
  repeat_files: bool = True
  file_batch_size: Optional[pydantic.PositiveInt] = None
  cache: bool = False
  data_service_dispatcher: Optional[str] = None
  ignore_data_errors: bool = False
  dataset_service_compression: Literal["AUTO", "NONE"] = "AUTO"
  examples_shuffle_buffer_size: BufferSize = 1024
  shuffle_seed: pydantic.NonNegativeInt = 0
  map_num_parallel_calls: Optional[Parallelism] = None
  interleave_num_parallel_calls: Optional[Parallelism] = None
  seg_dense_schema: SegDenseSchema
  tasks: dict[str, TaskSampling]
  evaluation_tasks: Optional[list[str]] = pydantic.Field(default=None, min_length=1)
  preprocess: Optional[Preprocess] = None
  sampler: Optional[SamplerConfig] = None
  sampling_correction: Literal["weights", "calibration"] = "weights"
  missing_labels: Literal["error", "zero"] = "error"
  checks: DataChecks = pydantic.Field(default_factory=DataChecks)

  DEFAULT_INTERLEAVE_FILES: ClassVar[int] = 8

  @property
  def inputs_key(self) -> str:
    """Which key says where the files lie: `inputs` or one of the explicit ranges."""
    return next(key for key in self.exactly_one_of[0] if getattr(self, key) is not None)

  @pydantic.field_validator("data_service_dispatcher")
  @classmethod
  def _check_dispatcher(cls, value: Optional[str]) -> Optional[str]:
    host, _, port = (value or "").removeprefix(DISPATCHER_PREFIX).rpartition(":")
    if value is None or (value.startswith(DISPATCHER_PREFIX) and host and port.isdecimal()):
      return value
    raise PydanticCustomError("dispatcher", "grpc://HOST:PORT")

  @pydantic.model_validator(mode="after")
  def _check_tasks(self) -> "DataConfig":
    if not self.tasks:
      raise inconsistent("tasks: found no task, allowed: at least one")
    measured = self.evaluation_tasks or []
    for task in measured:
      if measured.count(task) > 1:
        raise inconsistent(f"evaluation_tasks: {task!r} stands in it twice, allowed: once")
      if task not in self.tasks:
        raise inconsistent(
          f"evaluation_tasks: {task!r} is not among this section's tasks: {', '.join(self.tasks)}"
        )
    for task in self.checks.label_rates:
      if task not in self.tasks:
        raise inconsistent(
          f"checks.label_rates: {task!r} is not among this section's tasks: {', '.join(self.tasks)}"
        )
    return self


def load_data_config(path: str, overrides: tuple[str, ...] = (), partition: str = "") -> DataConfig:
  """Reads only the records' part of a configuration file.

  Args:
    path: the YAML file; sections that are not about records are not looked at.
    overrides: "dotted.key=yaml value" strings.
    partition: a partition of `validation_data`; empty means `train_data`.

  Raises:
    ConfigError: the file or the section cannot be used, or there is no such partition.
  """
  content, origin = yaml_file.read_with_origin(path, overrides)
  if not partition:
    found = yaml_file.section(content, "train_data", origin)
    return validate(DataConfig, found, f"{origin}: train_data")
  partitions = yaml_file.section(content, "validation_data", origin)
  found = yaml_file.section(partitions, partition, f"{origin}: validation_data")
  return validate(DataConfig, found, f"{origin}: validation_data.{partition}")


def load_data_sections(
  path: str, overrides: tuple[str, ...] = (), key: Optional[str] = None
) -> dict[str, DataConfig]:
  """Reads all sections of a configuration file that are about records.

  Args:
    path: the YAML file.
    overrides: "dotted.key=yaml value" strings.
    key: only this section: `train_data`, `validation_data.PARTITION` or PARTITION.

  Returns:
    The sections by their paths, `train_data` first.

  Raises:
    ConfigError: the file or a section cannot be used, or there is no such section.
  """
  if key is not None:
    partition = "" if key == "train_data" else key.removeprefix(f"{_PARTITIONS}.")
    key = f"{_PARTITIONS}.{partition}" if partition else "train_data"
    return {key: load_data_config(path, overrides, partition)}
  content, _ = yaml_file.read_with_origin(path, overrides)
  found = content.get(_PARTITIONS)
  names = [name for name, section in found.items() if section] if isinstance(found, dict) else []
  sections = {"train_data": load_data_config(path, overrides)}
  for name in names:
    sections[f"{_PARTITIONS}.{name}"] = load_data_config(path, overrides, str(name))
  return sections

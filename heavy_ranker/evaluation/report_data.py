"""What the report reads: the evaluations that lie in a run's folder, checked and typed.

`evaluation/step-N.json` comes from `heavy_ranker.evaluation.evaluator`. Everything but
`format_version` and `partitions` may be missing or null, so that a file cut down by hand or written
by a smaller evaluation still makes a report. Keys that the report does not know are left alone.
"""

import json
import math
import os
import re
from typing import Annotated, Any, NamedTuple, Optional, TypeVar, Union

import tensorflow as tf
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from heavy_ranker.evaluation.results_file import FORMAT_VERSION, importance_path
from tfrecords.errors import DataError, reason

_FOLDER = "evaluation"
_FILE = re.compile(r"step-(\d+)\.json")


def _finite(value: Any) -> Any:
  return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_nulls(value: Any) -> Any:
  if not isinstance(value, dict):
    return value
  return {key: entry for key, entry in value.items() if entry is not None}


# A number, or None where it is not defined; what JSON cannot hold (NaN, Infinity) counts as None.
# Beyond these bounds nothing can be drawn, and nothing that is measured lies there.
_MOST = 1e30
_LARGEST_RATE = 1 + 1e-6  # room for rounding
Number = Annotated[Optional[Annotated[float, Field(ge=-_MOST, le=_MOST)]], BeforeValidator(_finite)]
Amount = Annotated[Optional[Annotated[float, Field(ge=0, le=_MOST)]], BeforeValidator(_finite)]
Rate = Annotated[
  Optional[Annotated[float, Field(ge=0, le=_LARGEST_RATE)]], BeforeValidator(_finite)
]
Interval = tuple[Number, Number]
_Entry = TypeVar("_Entry")
# Entries by name; one that is null counts as absent.
ByName = Annotated[dict[str, _Entry], BeforeValidator(_without_nulls)]


class _Part(BaseModel):
  """A part of the file; a key that is null counts as absent."""

  @model_validator(mode="before")
  @classmethod
  def _defaults_for_nulls(cls, value: Any) -> Any:
    return _without_nulls(value)


class TaskMetrics(_Part):
  """The metrics of one task on some examples.

  Attributes:
    metrics: by name; None where it is not defined.
    reasons: why a metric is None.
    confidence: the interval of a metric.
    approximation_error: how far a metric may be off where it is not exact.
  """

  metrics: dict[str, Number] = {}
  reasons: ByName[str] = {}
  confidence: ByName[Interval] = {}
  approximation_error: dict[str, Number] = {}


class ReliabilityBin(_Part):
  """Examples of about the same prediction: its mean, the share of positives and their weight."""

  predicted: Rate = None
  observed: Rate = None
  weight: Amount = None
  examples: Amount = None


class RocCurve(_Part):
  """Points of the ROC curve."""

  false_positive_rate: list[Rate] = []
  true_positive_rate: list[Rate] = []

  @model_validator(mode="after")
  def _same_length(self) -> "RocCurve":
    _require_lengths(self, ("false_positive_rate", 0), ("true_positive_rate", 0))
    return self


class PrecisionRecallCurve(_Part):
  """Points of the precision-recall curve."""

  recall: list[Rate] = []
  precision: list[Rate] = []

  @model_validator(mode="after")
  def _same_length(self) -> "PrecisionRecallCurve":
    _require_lengths(self, ("recall", 0), ("precision", 0))
    return self


class ProbabilityHistogram(_Part):
  """Weights of positives and negatives between n + 1 edges."""

  edges: list[Rate] = []
  positives: list[Amount] = []
  negatives: list[Amount] = []

  @model_validator(mode="after")
  def _same_length(self) -> "ProbabilityHistogram":
    _require_lengths(self, ("edges", 1), ("positives", 0), ("negatives", 0))
    return self


class ScoreHistogram(_Part):
  """Numbers of scores between n + 1 edges."""

  edges: list[Number] = []
  counts: list[Amount] = []

  @model_validator(mode="after")
  def _same_length(self) -> "ScoreHistogram":
    _require_lengths(self, ("edges", 1), ("counts", 0))
    return self


class ScoreShare(_Part):
  """A task's share in the mean and in the variance of the score."""

  mean: Number = None
  variance: Number = None


class Gain(_Part):
  """What the model is better by than a baseline, and the interval of that."""

  value: Number = None
  low: Number = None
  high: Number = None


class TaskResult(TaskMetrics):
  """Everything measured of one task on a partition."""

  baselines: ByName[dict[str, Number]] = {}
  gain: ByName[ByName[Gain]] = {}
  achievable_rce_share: Number = None
  reliability: ByName[list[ReliabilityBin]] = {}
  roc: Optional[RocCurve] = None
  precision_recall: Optional[PrecisionRecallCurve] = None
  probability_histogram: Optional[ProbabilityHistogram] = None
  score_share: Optional[ScoreShare] = None


class Stratum(_Part):
  """The part of a partition on which one feature has one value."""

  examples: Number = None
  tasks: ByName[TaskMetrics] = {}


class PartitionMetrics(_Part):
  """The metrics of a partition, by task."""

  tasks: ByName[TaskMetrics] = {}
  ranking: dict[str, Number] = {}
  ranking_confidence: ByName[Interval] = {}


class TopTask(_Part):
  """What the first places of the users' lists hold of a task, before and with other weights."""

  predicted_before: Rate = None
  predicted: Rate = None
  observed_before: Rate = None
  observed: Rate = None


class WhatIf(_Part):
  """What other weights of the score would do to the order.

  Attributes:
    reason: why nothing could be measured.
    cutoff: how many places `top_tasks` looks at.
    present: the metrics of the score as it is.
  """

  class Scenario(TaskMetrics):
    """One set of weights."""

    name: str
    weights: dict[str, Number] = {}
    top_tasks: ByName[TopTask] = {}

  reason: Optional[str] = None
  cutoff: Optional[int] = None
  present: dict[str, Number] = {}
  scenarios: list[Scenario] = []


class Partition(PartitionMetrics):
  """Everything measured on a partition."""

  tasks: ByName[TaskResult] = {}
  examples: Number = None
  users: Number = None
  batches: Number = None
  complete: Optional[bool] = None
  exact: Optional[bool] = None
  notes: list[str] = []
  score_histogram: Optional[ScoreHistogram] = None
  strata: ByName[Stratum] = {}
  what_if: Optional[WhatIf] = None


class Score(_Part):
  """The score's definition."""

  weights: dict[str, Number] = {}
  only_largest_of: list[list[str]] = []
  negative_squash_epsilon: Number = None


class Importance(_Part):
  """How much worse a metric gets without a group of features, or without one feature.

  Attributes:
    examples: on how many examples.
    baseline: the metric by task with all features.
    reasons: why a task has none.
    notes: what has to be known, in sentences.
  """

  class Entry(_Part):
    """One group or feature; what a metric loses without it, by task, with its interval."""

    name: str
    features: Union[int, list[str], None] = None
    drop: dict[str, Number] = {}
    drop_low: Optional[dict[str, Number]] = None
    drop_high: Optional[dict[str, Number]] = None

  format_version: int
  partition: str = ""
  metric: str = ""
  examples: Number = None
  repeats: Number = None
  baseline: dict[str, Number] = {}
  reasons: ByName[str] = {}
  notes: list[str] = []
  groups: list[Entry] = []
  features: list[Entry] = []


class EvaluationMetrics(_Part):
  """What the curves over training steps need of an evaluation."""

  format_version: int
  partitions: ByName[PartitionMetrics]


class Evaluation(_Part):
  """One evaluation."""

  format_version: int
  checkpoint: str = ""
  seconds: Number = None
  tasks: list[str] = []
  score: Score = Score()
  partitions: ByName[Partition]


class Evaluations(NamedTuple):
  """The evaluations of a run.

  Attributes:
    step: the one the report is about.
    shown: that evaluation.
    history: the metrics of all, by step in ascending order.
    importance: that of the features to the shown step; None where it was not measured.
    skipped: what could not be read besides that evaluation, a sentence each.
  """

  step: int
  shown: Evaluation
  history: dict[int, EvaluationMetrics]
  importance: Optional[Importance]
  skipped: list[str]


def read_evaluations(save_dir: str, step: Optional[int] = None) -> Evaluations:
  """Reads the evaluations of a run.

  Args:
    save_dir: the run's folder.
    step: the evaluation to show; None for the newest.

  Raises:
    DataError: there is none, or the one to show cannot be read. Any other that cannot be read is
      named in `skipped`.
  """
  folder = os.path.join(save_dir, _FOLDER)
  names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
  matches = [match for match in map(_FILE.fullmatch, names) if match]
  files = {int(match[1]): os.path.join(folder, match[0]) for match in sorted(matches, key=str)}
  if not files:
    raise DataError(
      f"{folder}: no evaluation found; it would be a file step-N.json. Evaluate a checkpoint first "
      "with //heavy_ranker:evaluate, or name another run with --set training.save_dir=FOLDER"
    )
  chosen = max(files) if step is None else step
  if chosen not in files:
    found = ", ".join(str(known) for known in sorted(files))
    raise DataError(f"{folder}: no evaluation of step {chosen}; there are those of steps {found}")
  shown = _read(files[chosen], Evaluation)
  history, skipped = {}, []
  for known in sorted(files):
    try:
      history[known] = _read(files[known], EvaluationMetrics)
    except DataError as error:
      skipped.append(f"Left out of the curves over training steps: {error}.")
  importance = None
  path = importance_path(save_dir, chosen)
  if tf.io.gfile.exists(path):
    try:
      importance = _read(path, Importance)
    except DataError as error:
      skipped.append(f"Left out: {error}.")
  return Evaluations(chosen, shown, history, importance, skipped)


_Model = TypeVar("_Model", bound=BaseModel)


def _read(path: str, model: type[_Model]) -> _Model:
  try:
    with tf.io.gfile.GFile(path, "rb") as file:
      content = json.loads(file.read().decode("utf-8"))
  except (tf.errors.OpError, ValueError, RecursionError) as error:
    raise _damaged(path, f"is not JSON: {reason(error)}") from None
  if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
    found = content.get("format_version") if isinstance(content, dict) else None
    raise _damaged(path, f"format_version is {found!r}, the report reads {FORMAT_VERSION}")
  try:
    return model.model_validate(content)
  except ValidationError as error:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    raise _damaged(path, f"{key}: {first['msg']}, found {str(first['input'])[:80]!r}") from None


def _damaged(path: str, what: str) -> DataError:
  how = "Evaluate that checkpoint again with //heavy_ranker:evaluate"
  if os.path.basename(path).startswith("importance"):
    how = "Measure it again with //heavy_ranker:importance"
  return DataError(f"{path}: {what}. {how}, or remove the file")


def _require_lengths(model: BaseModel, *longer: tuple[str, int]) -> None:
  lengths = {name: len(getattr(model, name)) for name, _ in longer}
  if not any(lengths.values()):
    return
  if len({lengths[name] - more for name, more in longer}) > 1:
    found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
    raise ValueError(f"the lists do not fit together: {found} entries")

"""`early_stopping.json` in a run's folder: what early stopping has measured, and what follows."""

import hashlib
import os
from collections.abc import Sequence
from typing import Literal, NamedTuple, Optional

import pydantic
import tensorflow as tf

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.early_stopping import EarlyStoppingConfig
from heavy_ranker.config.evaluation import RANKING_METRICS
from heavy_ranker.config.objective import Objective, direction_of, metric_kind
from tfrecords.config.strict_model import StrictModel
from tfrecords.errors import CheckpointError, StorageError, reason
from tfrecords.files import flush_to_disk

_FILE = "early_stopping.json"


class Evaluation(StrictModel):
  """A checkpoint that was measured.

  Attributes:
    step: the updates behind it.
    value: the mean of `values`.
    values: by task; of `the score` if the metric is the score's.
    is_extra: it was only measured because it was the last one then; `checkpoint_every_n` does not
      come to this step.
    index: the SHA-256 of the checkpoint's index, which holds a checksum of every weight.
    seconds: what measuring took.
  """

  step: pydantic.NonNegativeInt
  value: float
  values: dict[str, float]
  is_extra: bool = False
  index: str
  seconds: float


class EarlyStoppingRecord(StrictModel):
  """Everything early stopping knows of a run.

  Attributes:
    objective: what was measured.
    data: a digest of what else decides the values: the partition, and how much of it is read.
    best_step: of the best evaluation; None without any.
    evaluations: in the order of their steps.
  """

  format_version: Literal[1] = 1
  objective: Objective
  data: str
  best_step: Optional[int] = None
  evaluations: list[Evaluation] = pydantic.Field(default_factory=list)


class Standing(NamedTuple):
  """What follows from evaluations.

  Attributes:
    best: that of the best value, the first of equals.
    waiting: how many there were since the last improvement.
  """

  best: Evaluation
  waiting: int


def record_path(save_dir: str) -> str:
  """Returns where a run's record lies."""
  return os.path.join(save_dir, _FILE)


def standing(section: EarlyStoppingConfig, evaluations: Sequence[Evaluation]) -> Standing:
  """Finds the best evaluation, and how long ago the last improvement was.

  A value is an improvement if it is better than the last improvement by more than
  `min_improvement`, so that many small steps count once they have come far enough. The best one may
  be better than that by less.

  Args:
    section: `training.early_stopping`.
    evaluations: at least one, in the order of their steps.
  """
  sign = 1 if direction_of(section) == "maximize" else -1
  best = improvement = evaluations[0]
  waiting = 0
  for each in evaluations[1:]:
    if sign * each.value > sign * best.value:
      best = each
    if sign * (each.value - improvement.value) > section.min_improvement:
      improvement, waiting = each, 0
    else:
      waiting += 1
  return Standing(best, waiting)


def stopping_step(config: HeavyRankerConfig, save_dir: str) -> Optional[int]:
  """Returns the step after which early stopping has ended a run; None if it has not.

  Raises:
    CheckpointError: the record is not as it was written.
  """
  section = config.training.early_stopping
  record = read_record(save_dir) if section is not None else None
  if record is None or not record.evaluations or record.objective != plain_objective(section):
    return None
  step = record.evaluations[-1].step
  is_over = standing(section, record.evaluations).waiting >= section.patience
  return step if is_over and step < config.training.num_train_steps else None


def plain_objective(objective: Objective) -> Objective:
  """Returns an objective without what a subclass adds, to compare."""
  return Objective(**{name: getattr(objective, name) for name in Objective.model_fields})


def data_digest(config: HeavyRankerConfig, objective: Objective) -> str:
  """Returns a digest of what decides an objective's values besides weights and the objective."""
  partition = config.validation_data[objective.partition].model_dump_json(exclude={"checks"})
  content = [partition, str(config.training.num_eval_steps), config.evaluation.user_feature]
  if metric_kind(objective) in RANKING_METRICS:
    content.append(config.score.model_dump_json())
  return hashlib.sha256("\n".join(content).encode()).hexdigest()


def read_record(save_dir: str) -> Optional[EarlyStoppingRecord]:
  """Returns a run's record, None if it has none.

  Raises:
    CheckpointError: it is not as it was written.
  """
  path = record_path(save_dir)
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      return EarlyStoppingRecord.model_validate_json(file.read())
  except tf.errors.NotFoundError:
    return None
  except (tf.errors.OpError, ValueError) as error:
    found = reason(error) if isinstance(error, tf.errors.OpError) else "it is not as it was written"
    raise CheckpointError(
      f"{path}: cannot be used: {found}. Put back a copy, or delete it: training then counts anew "
      "from the checkpoint it resumes from. --checkpoint=PATH goes without it"
    ) from None


def write_record(save_dir: str, record: EarlyStoppingRecord) -> None:
  """Writes a run's record in one step.

  Raises:
    StorageError: it cannot be written.
  """
  path = record_path(save_dir)
  try:
    with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
      file.write(record.model_dump_json(indent=1) + "\n")
    flush_to_disk(f"{path}.tmp")
    tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)
  except (tf.errors.OpError, OSError) as error:
    raise StorageError(
      f"{path}: what early stopping has measured cannot be written: {reason(error)}. Free space "
      "there and run the same command again: it measures the newest checkpoint again"
    ) from None

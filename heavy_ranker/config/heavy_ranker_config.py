"""The whole configuration, and how it is loaded."""

from collections.abc import Iterable
from pathlib import Path
from typing import Optional, Union

import pydantic

from heavy_ranker.config.calibration import CalibrationConfig
from heavy_ranker.config.evaluation import METRIC_NAMES, EvaluationConfig
from heavy_ranker.config.export import ExportConfig
from heavy_ranker.config.model import ModelConfig
from heavy_ranker.config.objective import Objective, objective_mistake
from heavy_ranker.config.optimizer import OptimizerConfig
from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.config.training import TrainingConfig
from tfrecords.config import yaml_file
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import StrictModel, did_you_mean, inconsistent, validate


class HeavyRankerConfig(StrictModel):
  """One YAML file: everything that is needed to train, evaluate and export a ranker.

  Attributes:
    which_metrics: names of the metrics to report; all of them when absent.
  """

  training: TrainingConfig
  model: ModelConfig
  train_data: DataConfig
  validation_data: dict[str, DataConfig] = pydantic.Field(default_factory=dict)
  optimizer: OptimizerConfig
  score: ScoreConfig = pydantic.Field(default_factory=ScoreConfig)
  calibration: CalibrationConfig = pydantic.Field(default_factory=CalibrationConfig)
  evaluation: EvaluationConfig = pydantic.Field(default_factory=EvaluationConfig)
  export: ExportConfig = pydantic.Field(default_factory=ExportConfig)
  which_metrics: Optional[list[str]] = None

  @pydantic.model_validator(mode="after")
  def _check_metrics(self) -> "HeavyRankerConfig":
    if self.which_metrics == []:
      raise inconsistent(
        "which_metrics: found no name, allowed: at least one (without the key: all metrics)"
      )
    for name in self.which_metrics or ():
      if name not in METRIC_NAMES:
        raise inconsistent(
          f"which_metrics: found {name!r}, an unknown metric{did_you_mean(name, METRIC_NAMES)}; "
          f"allowed: {', '.join(METRIC_NAMES)}"
        )
    return self

  @pydantic.model_validator(mode="after")
  def _check_export(self) -> "HeavyRankerConfig":
    if self.export.is_compared or self.export.partition is not None:
      self.export.compared_partition(list(self.validation_data))
    return self

  @pydantic.model_validator(mode="after")
  def _check_tasks(self) -> "HeavyRankerConfig":
    for task in self.model.tasks:
      _require(task, self.train_data.tasks, f"model.tasks.{task}", "train_data.tasks")
    for name, partition in self.validation_data.items():
      measured = partition.evaluation_tasks
      for task in self.model.tasks if measured is None else measured:
        path = f"validation_data.{name}"
        _require(task, partition.tasks, f"model.tasks.{task}", f"{path}.tasks")
        _require(task, self.model.tasks, f"{path}.evaluation_tasks", "model.tasks")
    if "only_largest_of" in self.score.model_fields_set:
      for task in (task for group in self.score.only_largest_of for task in group):
        _require(task, self.model.tasks, "score.only_largest_of", "model.tasks")
    for task in self.calibration.methods:
      _require(task, self.model.tasks, f"calibration.methods.{task}", "model.tasks")
    for task in self.score.weights:
      _require(task, self.model.tasks, f"score.weights.{task}", "model.tasks")
    rates = self.optimizer.multi_task_learning_rates
    if rates is not None:
      for task in self.model.tasks:
        path = "optimizer.multi_task_learning_rates.tower_learning_rates"
        _require(task, rates.tower_learning_rates, f"model.tasks.{task}", path)
      for task in rates.tower_learning_rates:
        _require(task, self.model.tasks, f"{path}.{task}", "model.tasks")
    self._check_score()
    return self

  def _check_score(self) -> None:
    unknown = [task for task in self.model.tasks if self.score.weight_of(task) is None]
    if unknown:
      raise inconsistent(
        f"score.weights: found no weight for {', '.join(unknown)}, allowed: a number for each "
        "(0 leaves the task out of the score)"
      )
    self._check_shared_weights(self.score, "score.weights")

  def _check_shared_weights(self, score: ScoreConfig, path: str) -> None:
    for group in score.only_largest_of:
      weights = {score.weight_of(task) for task in group if task in self.model.tasks}
      if len(weights) > 1:
        raise inconsistent(
          f"{path}: of {', '.join(group)} only the largest probability counts, so they "
          f"share one weight; found {', '.join(map(str, sorted(weights)))}"
        )

  @pydantic.model_validator(mode="after")
  def _check_early_stopping(self) -> "HeavyRankerConfig":
    section = self.training.early_stopping
    mistake = None if section is None else self.objective_mistake(section)
    if mistake is not None:
      raise inconsistent(f"training.early_stopping.{mistake}")
    return self

  def objective_mistake(self, objective: Objective) -> Optional[str]:
    """Returns why evaluations will not have an objective: "KEY: found ..."; None if they will."""
    measured = {
      name: list(
        self.model.tasks if partition.evaluation_tasks is None else partition.evaluation_tasks
      )
      for name, partition in self.validation_data.items()
    }
    return objective_mistake(objective, measured, self.evaluation.ranking_cutoffs)

  @pydantic.model_validator(mode="after")
  def _check_what_if(self) -> "HeavyRankerConfig":
    for scenario, weights in self.evaluation.what_if.items():
      path = f"evaluation.what_if.{scenario}"
      for task in weights:
        _require(task, self.model.tasks, f"{path}.{task}", "model.tasks")
      self._check_shared_weights(self.score.with_weights(weights), path)
    return self


def _require(task: str, known: Iterable[str], path: str, where: str) -> None:
  if task not in known:
    raise inconsistent(
      f"{path}: task {task!r} is missing from {where}{did_you_mean(task, known)}; found there: "
      f"{', '.join(known) or 'nothing'}"
    )


def load_config(path: Union[str, Path], overrides: Iterable[str] = ()) -> HeavyRankerConfig:
  """Loads and checks a configuration file; files written for the reference load unchanged.

  Args:
    path: the YAML file.
    overrides: "dotted.key=yaml value" strings, such as "train_data.global_batch_size=64".

  Returns:
    The configuration, frozen; environment variables that are set are substituted.

  Raises:
    ConfigError: names each key that cannot be used, what was found and what is allowed.
  """
  content, origin = yaml_file.read_with_origin(path, overrides)
  return validate(HeavyRankerConfig, content, origin)

"""The keys of `evaluation` that say which predictors a model is held against."""

from typing import Optional

import pydantic

from heavy_ranker.config.optimizer import LearningRateConfig
from tfrecords.config.strict_model import StrictModel, did_you_mean, inconsistent

# Measured always, and with no option.
ALWAYS_MEAN = "always_mean"
# Trained by this project, on what the model is trained on.
LOGISTIC_REGRESSION = "logistic_regression"


class BaselineConfig(StrictModel):
  """A predictor; `logistic_regression` has no keys, all others lie in the records.

  Attributes:
    probability_prefix: a record holds the prediction of each task as a float_list feature of
      length 1 named `probability_prefix` + task, which the schema need not list.
    is_upper_bound: no model can do better, since it is what the labels were drawn with.
  """

  probability_prefix: Optional[str] = pydantic.Field(default=None, min_length=1)
  is_upper_bound: bool = False


class LogisticRegressionConfig(StrictModel):
  """How the baseline `logistic_regression` is trained.

  Attributes:
    learning_rate: its schedule; when absent a ramp to 0.05 over a twelfth of the training steps,
      then a cosine down to 0.001 at the last.
  """

  learning_rate: Optional[LearningRateConfig] = None


def check_baselines(baselines: dict[str, BaselineConfig]) -> None:
  """Checks a section's baselines by name.

  Raises:
    PydanticCustomError: a name is taken, or a baseline says too little or too much.
  """
  for name, baseline in baselines.items():
    if not name:
      raise inconsistent("baselines: found an empty name, allowed: any other")
    if name == ALWAYS_MEAN:
      raise inconsistent(f"baselines.{name}: it is measured always, allowed: leave it out here")
    if name == LOGISTIC_REGRESSION and baseline != BaselineConfig():
      raise inconsistent(
        f"baselines.{name}: found {', '.join(sorted(baseline.model_fields_set))}, allowed: {{}}, "
        "since it is trained here. Its learning rate is set under evaluation.logistic_regression, "
        "and predictions that lie in the records get another name"
      )
    if name != LOGISTIC_REGRESSION and baseline.probability_prefix is None:
      raise inconsistent(
        f"baselines.{name}: found no probability_prefix, allowed: the beginning of the names of "
        "the features that hold its predictions, which the tasks' names follow; only "
        f"{LOGISTIC_REGRESSION} does without{did_you_mean(name, [LOGISTIC_REGRESSION])}"
      )
  bounds = [name for name, baseline in baselines.items() if baseline.is_upper_bound]
  if len(bounds) > 1:
    raise inconsistent(
      f"baselines: found is_upper_bound for {' and '.join(bounds)}, allowed: at most one, the best "
      "possible predictor"
    )

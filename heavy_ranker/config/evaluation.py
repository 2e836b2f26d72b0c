"""The `evaluation` section, and the names `which_metrics` takes."""

from typing import Any

import pydantic

from heavy_ranker.config.baselines import (
  BaselineConfig,
  LogisticRegressionConfig,
  check_baselines,
)
from tfrecords.config.strict_model import StrictModel, inconsistent

# docs/evaluation.md defines them.
TASK_METRICS = (
  "relative_cross_entropy",
  "normalized_relative_cross_entropy",
  "log_loss",
  "auroc",
  "average_precision",
  "grouped_auc",
  "click_through_rate",
  "predicted_click_through_rate",
  "predicted_to_actual_ratio",
  "expected_calibration_error",
  "examples",
  "positives",
)
# Of the score, each at every cutoff of `ranking_cutoffs`.
RANKING_METRICS = ("ndcg", "map")
METRIC_NAMES = (*TASK_METRICS, *RANKING_METRICS)
PER_USER_METRICS = ("grouped_auc", *RANKING_METRICS)
# Those whose loss without some features `//heavy_ranker:importance` measures.
IMPORTANCE_METRICS = ("relative_cross_entropy", "auroc", "log_loss")

_FEWEST_SAMPLES = 10


class EvaluationConfig(StrictModel):
  """How checkpoints are measured.

  Attributes:
    user_feature: the feature, by its name inside the model, whose value says which user an
      example belongs to; an integer or a string, one value an example. Metrics a user need it.
    ranking_cutoffs: how many of a user's best-scored examples NDCG and MAP look at.
    bootstrap_samples: resamples behind the confidence intervals; 0 leaves the intervals out.
    confidence_level: the share of resamples inside an interval.
    seed: seed of the resamples.
    max_examples_in_memory: up to so many examples of a partition every metric is exact; beyond,
      what needs the order of the examples comes from histograms and from a sample of the users.
    calibration_bins: bins of equal weight that reliability and calibration error are taken over.
    baselines: predictors to hold the model against, by name, besides `always_mean`:
      `logistic_regression`, and any whose predictions lie in the records.
    logistic_regression: how the first of them is trained.
    what_if: scenario -> task -> weight: other weights of the score, of which each evaluation says
      how they would change the order. Tasks that a scenario leaves out keep their weight.
  """

  user_feature: str = "meta__user_id"
  ranking_cutoffs: list[pydantic.PositiveInt] = pydantic.Field(
    default_factory=lambda: [10], min_length=1
  )
  bootstrap_samples: int = pydantic.Field(default=100, ge=0, le=100_000)
  confidence_level: float = pydantic.Field(default=0.95, gt=0.0, lt=1.0)
  seed: pydantic.NonNegativeInt = 0
  max_examples_in_memory: int = pydantic.Field(default=4_000_000, gt=0, le=2**33)
  calibration_bins: int = pydantic.Field(default=20, gt=0, le=100_000)
  baselines: dict[str, BaselineConfig] = pydantic.Field(default_factory=dict)
  logistic_regression: LogisticRegressionConfig = pydantic.Field(
    default_factory=LogisticRegressionConfig
  )
  what_if: dict[str, dict[str, pydantic.FiniteFloat]] = pydantic.Field(default_factory=dict)

  @pydantic.field_validator("baselines", mode="before")
  @classmethod
  def _drop_nulls(cls, value: Any) -> Any:
    if not isinstance(value, dict):
      return value
    return {name: baseline for name, baseline in value.items() if baseline is not None}

  @pydantic.model_validator(mode="after")
  def _check(self) -> "EvaluationConfig":
    if len(set(self.ranking_cutoffs)) < len(self.ranking_cutoffs):
      raise inconsistent(
        f"ranking_cutoffs: found {self.ranking_cutoffs}, allowed: each number once"
      )
    if 0 < self.bootstrap_samples < _FEWEST_SAMPLES:
      raise inconsistent(
        f"bootstrap_samples: found {self.bootstrap_samples}, allowed: 0 (no confidence intervals) "
        f"or at least {_FEWEST_SAMPLES}"
      )
    check_baselines(self.baselines)
    return self

"""The `optimizer` section: Adam and a learning-rate schedule for each group of variables."""

from typing import Optional

import pydantic

from tfrecords.config.strict_model import StrictModel, inconsistent


class AdamConfig(StrictModel):
  """Adam's constants; epsilon is added to the bias-corrected root, as in the paper."""

  beta_1: float = pydantic.Field(default=0.9, ge=0.0, lt=1.0)
  beta_2: float = pydantic.Field(default=0.999, ge=0.0, lt=1.0)
  # Smaller ones are 0 as a float32, and 0 / 0 is no update.
  epsilon: float = pydantic.Field(default=1e-7, ge=1e-30)


class LinearRampToConstant(StrictModel):
  """Rises linearly from 0 to `learning_rate` over `num_ramp_steps`, then stays."""

  learning_rate: pydantic.NonNegativeFloat
  num_ramp_steps: pydantic.PositiveInt


class LinearRampToCosine(StrictModel):
  """Rises linearly, then falls along a cosine to `final_learning_rate` at `final_num_steps`."""

  learning_rate: pydantic.NonNegativeFloat
  final_learning_rate: pydantic.NonNegativeFloat
  num_ramp_steps: pydantic.PositiveInt
  final_num_steps: pydantic.PositiveInt

  @pydantic.model_validator(mode="after")
  def _check_order(self) -> "LinearRampToCosine":
    if self.final_num_steps <= self.num_ramp_steps:
      raise inconsistent(
        f"final_num_steps: found {self.final_num_steps}, allowed: more than num_ramp_steps "
        f"({self.num_ramp_steps})"
      )
    return self


class PiecewiseConstant(StrictModel):
  """`learning_rate_values[i]` holds from boundary i-1 (inclusive) up to boundary i."""

  learning_rate_boundaries: list[pydantic.NonNegativeInt]
  learning_rate_values: list[pydantic.NonNegativeFloat]

  @pydantic.model_validator(mode="after")
  def _check_lengths(self) -> "PiecewiseConstant":
    boundaries, values = self.learning_rate_boundaries, self.learning_rate_values
    if len(values) != len(boundaries) + 1:
      raise inconsistent(
        f"learning_rate_values: found {len(values)} values, allowed: {len(boundaries) + 1}, "
        "one more than there are boundaries"
      )
    if sorted(boundaries) != boundaries:
      raise inconsistent(
        f"learning_rate_boundaries: found {boundaries}, allowed: steps that do not fall"
      )
    return self


class LearningRateConfig(StrictModel):
  """Exactly one learning-rate schedule."""

  exactly_one_of = (
    ("constant", "linear_ramp_to_constant", "linear_ramp_to_cosine", "piecewise_constant"),
  )

  constant: Optional[pydantic.NonNegativeFloat] = None
  linear_ramp_to_constant: Optional[LinearRampToConstant] = None
  linear_ramp_to_cosine: Optional[LinearRampToCosine] = None
  piecewise_constant: Optional[PiecewiseConstant] = None


class MultiTaskLearningRates(StrictModel):
  """One schedule for each tower and one for everything that is in no tower."""

  backbone_learning_rate: LearningRateConfig
  tower_learning_rates: dict[str, LearningRateConfig]


class GradientClippingConfig(StrictModel):
  """Cuts an update's gradients; the norms are Euclidean, of the mean gradient of all its examples.

  Attributes:
    by_value: the largest magnitude of an element; comes before a norm.
    by_global_norm: the largest norm of all gradients together.
    by_group_norm: the largest norm of each learning-rate group's gradients.
  """

  at_most_one_of = (("by_global_norm", "by_group_norm"),)

  # Below, the squares of what is left are no float32.
  by_value: Optional[float] = pydantic.Field(default=None, ge=1e-18)
  by_global_norm: Optional[float] = pydantic.Field(default=None, ge=1e-18)
  by_group_norm: Optional[float] = pydantic.Field(default=None, ge=1e-18)

  @pydantic.model_validator(mode="after")
  def _check_any(self) -> "GradientClippingConfig":
    if self.by_value is None and self.by_global_norm is None and self.by_group_norm is None:
      raise inconsistent(
        "found none of by_value, by_global_norm and by_group_norm, allowed: one of the norms, "
        "by_value, or both (to clip nothing, leave the section out)"
      )
    return self


class OptimizerConfig(StrictModel):
  """Adam with one schedule a group, or one schedule for all."""

  exactly_one_of = (("multi_task_learning_rates", "single_task_learning_rate"),)

  adam: AdamConfig = pydantic.Field(default_factory=AdamConfig)
  gradient_clipping: Optional[GradientClippingConfig] = None
  multi_task_learning_rates: Optional[MultiTaskLearningRates] = None
  single_task_learning_rate: Optional[LearningRateConfig] = None

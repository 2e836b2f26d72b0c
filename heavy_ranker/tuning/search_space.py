"""The search space: one YAML file that says what to vary, what to look at, and how to choose."""

import json
import math
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import pydantic

from heavy_ranker.config.objective import Objective
from tfrecords.config import yaml_file
from tfrecords.config.strict_model import StrictModel, inconsistent, validate

# What a trial cannot vary, since the search itself sets it.
_RESERVED = ("training.save_dir", "extends")
Fraction = Annotated[float, pydantic.Field(gt=0.0, lt=1.0)]


class Parameter(StrictModel):
  """What one or several configuration keys may be: a range of numbers, or a list of values.

  Attributes:
    low: the smallest number.
    high: the largest number, itself included.
    log: draws the logarithm evenly: for learning rates and the like.
    step: only low, low + step, and so on.
    integer: whole numbers.
    choices: instead of a range, the values themselves; of any kind, null removes the key.
    sets: the configuration keys that get the value; the parameter's name when absent.
  """

  exactly_one_of = (("low", "choices"),)

  low: Optional[float] = None
  high: Optional[float] = None
  log: bool = False
  step: Optional[pydantic.PositiveFloat] = None
  integer: bool = False
  choices: Optional[list[Any]] = None
  sets: Optional[list[str]] = pydantic.Field(default=None, min_length=1)

  @pydantic.model_validator(mode="after")
  def _check(self) -> "Parameter":
    if self.choices is not None:
      self._check_choices(self.choices)
    elif self.low is not None:
      self._check_range(self.low, self.high)
    return self

  def _check_choices(self, choices: list[Any]) -> None:
    for key in ("high", "step"):
      if getattr(self, key) is not None:
        raise inconsistent(f"{key}: found beside choices, allowed: beside low")
    for key in ("log", "integer"):
      if getattr(self, key):
        raise inconsistent(f"{key}: found beside choices, allowed: beside low and high")
    if len(set(self.labels)) < max(2, len(choices)):
      raise inconsistent(f"choices: found {choices}, allowed: at least two, each once")

  def _check_range(self, low: float, high: Optional[float]) -> None:
    if high is None:
      raise inconsistent("high: found nothing beside low, allowed: the largest number")
    if not low < high:
      raise inconsistent(f"low: found {low:g}, allowed: below high, which is {high:g}")
    if not math.isfinite(high - low):
      raise inconsistent(f"high: found {high:g}, allowed: a range that float64 can hold")
    if self.log and low <= 0:
      raise inconsistent(f"low: found {low:g} with log, allowed: above 0")
    if self.log and self.step is not None:
      raise inconsistent(f"step: found {self.step:g} with log, allowed: one of the two")
    if self.integer:
      for key, value in (("low", low), ("high", high), ("step", self.step or 1.0)):
        if not value.is_integer() or abs(value) > 2**53:
          raise inconsistent(f"{key}: found {value:g} with integer, allowed: a whole number")
    if self.step is not None and (_decimal(high) - _decimal(low)) % _decimal(self.step):
      raise inconsistent(
        f"step: found {self.step:g}, allowed: one that leads from low ({low:g}) to high ({high:g})"
      )

  @property
  def labels(self) -> list[str]:
    """The choices as JSON texts, by which a study knows them; none of a range."""
    return [json.dumps(choice, sort_keys=True, default=str) for choice in self.choices or ()]

  @property
  def extremes(self) -> list[Any]:
    """Values to try a configuration with: all choices, or both ends of the range."""
    if self.choices is not None:
      return list(self.choices)
    ends = [self.low, self.high]
    return [int(end) for end in ends] if self.integer else ends

  def value_of(self, drawn: Any) -> Any:
    """Returns what the configuration gets for what a study holds."""
    if self.choices is not None:
      return self.choices[self.labels.index(drawn)]
    # Not 0.30000000000000004 for three steps of 0.1.
    return float(f"{drawn:.12g}") if self.step is not None and not self.integer else drawn


def _decimal(value: float) -> Decimal:
  return Decimal(repr(value))


class MedianPruner(StrictModel):
  """Ends a trial that, part of the way, is worse than the median of earlier ones was there.

  Attributes:
    rungs: after which shares of `training.num_train_steps` a trial is measured.
    n_startup_trials: how many trials go all the way first.
  """

  rungs: list[Fraction] = pydantic.Field(
    default_factory=lambda: [0.25, 0.5], min_length=1, max_length=100
  )
  n_startup_trials: pydantic.NonNegativeInt = 5


class SuccessiveHalvingPruner(StrictModel):
  """Lets the best 1 / `reduction_factor` of the trials go on at each rung (arXiv 1810.05934).

  Attributes:
    num_rungs: how many; the last but one lies at num_train_steps / reduction_factor, and so on
      downwards.
    reduction_factor: from rung to rung.
  """

  num_rungs: int = pydantic.Field(default=2, ge=1, le=20)
  reduction_factor: int = pydantic.Field(default=3, ge=2, le=100)


class Pruner(StrictModel):
  """How trials that promise nothing end early."""

  exactly_one_of = (("median", "successive_halving"),)

  median: Optional[MedianPruner] = None
  successive_halving: Optional[SuccessiveHalvingPruner] = None


class Sampler(StrictModel):
  """How values are drawn.

  Attributes:
    kind: `tpe` learns from the trials before (tree-structured Parzen estimator), `random` does not.
    seed: the same seed, space and records give the same trials.
    n_startup_trials: how many are drawn at random before `tpe` learns from them.
  """

  kind: Literal["tpe", "random"] = "tpe"
  seed: int = pydantic.Field(default=0, ge=0, lt=2**32)
  n_startup_trials: pydantic.NonNegativeInt = 10


class SearchSpace(StrictModel):
  """A whole search.

  Attributes:
    parameters: by name, which is the dotted configuration key unless `sets` lists others.
    objective: what makes a trial better than another.
    pruner: how trials end early; without one none does.
    sampler: how values are drawn.
    n_trials: how many trials in all, those of earlier runs of the command included.
  """

  parameters: dict[str, Parameter] = pydantic.Field(min_length=1)
  objective: Objective
  pruner: Optional[Pruner] = None
  sampler: Sampler = pydantic.Field(default_factory=Sampler)
  n_trials: int = pydantic.Field(default=20, gt=0, le=100_000)

  @pydantic.model_validator(mode="after")
  def _check_parameters(self) -> "SearchSpace":
    owners: dict[str, str] = {}
    for name in self.parameters:
      for key in self.keys_of(name):
        if key in _RESERVED:
          raise inconsistent(f"parameters.{name}: {key} is the search's own, allowed: another key")
        if key in owners:
          raise inconsistent(
            f"parameters.{name}: {key} is set by {owners[key]}, too, allowed: by one parameter"
          )
        owners[key] = name
    if self.pruner is not None and "training.num_train_steps" in owners:
      raise inconsistent(
        "pruner: found beside a parameter that sets training.num_train_steps, allowed: one of the "
        "two, since trials of different length cannot be compared part of the way"
      )
    return self

  def keys_of(self, name: str) -> list[str]:
    """Returns the configuration keys that a parameter sets."""
    sets = self.parameters[name].sets
    return [name] if sets is None else list(dict.fromkeys(sets))


def load_search_space(path: str) -> SearchSpace:
  """Reads a search space.

  Args:
    path: the YAML file; `extends` and environment variables work as in a configuration.

  Raises:
    ConfigError: the file cannot be read or used; names each key.
  """
  content, origin = yaml_file.read_with_origin(path)
  return validate(SearchSpace, content, origin)

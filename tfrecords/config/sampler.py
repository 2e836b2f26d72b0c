"""The section `sampler`: which share of the records an offline experiment reads."""

from collections.abc import Mapping
from typing import Any, Optional

import pydantic

from tfrecords.config.strict_model import StrictModel, did_you_mean, inconsistent

SHARE, NEGATIVES = "share", "negatives"
_NAMES = (SHARE, NEGATIVES)


class SamplerArguments(StrictModel):
  """What decides whether a record is kept.

  Attributes:
    rate: the share to keep, in (0, 1].
    seed: another one keeps other records.
    engagements_list: only for `negatives`: a record is positive if any of these tasks' labels is 1.
  """

  rate: float = pydantic.Field(gt=0.0, le=1.0)
  seed: pydantic.NonNegativeInt = 0
  engagements_list: Optional[list[str]] = pydantic.Field(default=None, min_length=1)


class SamplerConfig(StrictModel):
  """Keeps some of the records, the same ones in every epoch and every run.

  Attributes:
    name: `share` keeps a share of all records; `negatives` all that are positive and a share of
      the others.
    kwargs: what the sampler needs.
  """

  name: str
  kwargs: SamplerArguments

  @pydantic.model_validator(mode="before")
  @classmethod
  def _check_name(cls, data: Any) -> Any:
    name = data.get("name") if isinstance(data, Mapping) else None
    if name is not None and name not in _NAMES:
      raise inconsistent(
        f"name: found {name!r}, allowed: {' or '.join(_NAMES)}{did_you_mean(str(name), _NAMES)}"
      )
    return data

  @pydantic.model_validator(mode="after")
  def _check_engagements(self) -> "SamplerConfig":
    engagements = self.kwargs.engagements_list
    if self.name == NEGATIVES and engagements is None:
      raise inconsistent(
        "kwargs.engagements_list: found nothing, allowed: the tasks that make a record positive"
      )
    if self.name == SHARE and engagements is not None:
      raise inconsistent(
        f"kwargs.engagements_list: found {engagements}, allowed: nothing; name: {NEGATIVES} uses it"
      )
    return self

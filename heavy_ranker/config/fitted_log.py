"""The section `model.featurization_config.fitted_log_config`."""

import pydantic

from heavy_ranker.config.columns import Columns
from tfrecords.config.strict_model import StrictModel, inconsistent


class RatesConfig(StrictModel):
  """Counts of `continuous` that become rates.

  Attributes:
    of: columns that count events.
    per: the column that counts the occasions for them, such as impressions.
  """

  of: Columns = pydantic.Field(min_length=1)
  per: pydantic.NonNegativeInt

  @pydantic.model_validator(mode="after")
  def _check_columns(self) -> "RatesConfig":
    if self.per in self.of:
      raise inconsistent(f"per: found {self.per}, which is in `of`, too; allowed: another column")
    return self


class FittedLogConfig(StrictModel):
  """Logs, missing flags, smoothed rates and pieces, all standardized as the training data asks for.

  Attributes:
    num_examples: how many examples of `train_data` a new run reads to fit it.
    leave_out: columns of `continuous` that the network does not see, but in rates.
    pieces: linear pieces between quantiles that each column is cut into; 0 for none.
    no_pieces_of: columns that are not cut.
    rates: counts that become logs of smoothed rates.
    smoothing: occasions of the average rate that each rate starts from.
    clip_magnitude: bound of the standardized values.
  """

  num_examples: pydantic.PositiveInt = 200_000
  leave_out: Columns = pydantic.Field(default_factory=list)
  pieces: pydantic.NonNegativeInt = 8
  no_pieces_of: Columns = pydantic.Field(default_factory=list)
  rates: list[RatesConfig] = pydantic.Field(default_factory=list)
  smoothing: pydantic.PositiveFloat = 20.0
  clip_magnitude: pydantic.PositiveFloat = 10.0

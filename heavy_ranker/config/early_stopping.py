"""The section `training.early_stopping`: when training ends before its last step."""

import pydantic

from heavy_ranker.config.objective import Objective


class EarlyStoppingConfig(Objective):
  """Training measures each checkpoint, and ends when that has brought nothing for a while.

  The checkpoint with the best value is kept whatever `checkpoint_max_to_keep` says, and is the one
  that is evaluated and exported unless another one is named.

  Attributes:
    patience: so many evaluations in a row without an improvement end training.
    min_improvement: a value is an improvement if it is better by more than this, in units of the
      metric, than the value of the last improvement.
  """

  patience: pydantic.PositiveInt = 3
  min_improvement: pydantic.NonNegativeFloat = 0.0

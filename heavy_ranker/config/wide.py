"""The section `model.wide_config`."""

import pydantic

from tfrecords.config.strict_model import StrictModel, inconsistent


class WideTable(StrictModel):
  """A weight a task for each value of one column of `discrete`.

  Attributes:
    index: the column.
    num_embeddings: values 0 to num_embeddings - 1 have weights of their own, all others share one.
    l2: factor of the sum of the weights' squares in the loss.
  """

  index: pydantic.NonNegativeInt
  num_embeddings: pydantic.PositiveInt
  l2: pydantic.NonNegativeFloat = 0.0


class WideConfig(StrictModel):
  """A linear model of all tasks beside the deep one (arXiv 1606.07792); their logits add up.

  Attributes:
    l2: factor of the sum of the squares of the dense features' weights in the loss.
    tables: columns of `discrete` it reads, each value as a feature of its own.
  """

  l2: pydantic.NonNegativeFloat = 0.0
  tables: list[WideTable] = pydantic.Field(default_factory=list)

  @pydantic.model_validator(mode="after")
  def _check_columns(self) -> "WideConfig":
    seen: set[int] = set()
    for position, table in enumerate(self.tables):
      if table.index in seen:
        raise inconsistent(
          f"tables.{position}.index: found {table.index} again, allowed: each column once"
        )
      seen.add(table.index)
    return self

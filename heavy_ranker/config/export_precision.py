"""The keys of `export` that say how weights are stored, and what that may change."""

from collections.abc import Sequence
from typing import Literal, Optional

import pydantic

from tfrecords.config.strict_model import StrictModel, did_you_mean, inconsistent

Precision = Literal["float32", "bfloat16", "int8"]


class ExportPrecision(StrictModel):
  """How an export stores its weights.

  Attributes:
    precision: how large matrices are stored; everything else is float32.
    matmul_precision: what the products with them are computed in.
    min_elements: matrices with fewer elements stay float32.
    check_precision: a lower precision is compared with float32 first, and refused beyond the
      bounds below.
    partition: the partition of `validation_data` it is compared on; may be absent if there is one.
    max_examples: how many of its examples, the first ones.
    max_score_change: the most any example's score may change, in standard deviations of the score.
    min_kendall_tau: the least rank correlation (Kendall's tau-b) of the scores with float32's.
  """

  precision: Precision = "float32"
  matmul_precision: Literal["float32", "bfloat16"] = "float32"
  min_elements: pydantic.PositiveInt = 4096
  check_precision: bool = True
  partition: Optional[str] = None
  max_examples: int = pydantic.Field(default=10_000, ge=2)
  max_score_change: pydantic.PositiveFloat = 0.1
  min_kendall_tau: float = pydantic.Field(default=0.995, ge=-1.0, le=1.0)

  @pydantic.model_validator(mode="after")
  def _check_matmul(self) -> "ExportPrecision":
    if self.precision == "float32" and self.matmul_precision != "float32":
      raise inconsistent(
        f"matmul_precision: found {self.matmul_precision} with precision float32, allowed: "
        "float32, or another precision: bfloat16 or int8"
      )
    return self

  @property
  def is_compared(self) -> bool:
    """Whether the export is compared with float32 before it is written."""
    return self.precision != "float32" and self.check_precision

  def compared_partition(self, names: Sequence[str]) -> str:
    """Returns the partition that the export is compared on.

    Args:
      names: the partitions there are.

    Raises:
      PydanticCustomError: there is none, or several and none is named.
    """
    if self.partition is not None and self.partition not in names:
      raise inconsistent(
        f"export.partition: found {self.partition!r}{did_you_mean(self.partition, names)}; "
        f"allowed: {', '.join(names) or 'nothing, since validation_data is empty'}"
      )
    if not names:
      raise inconsistent(
        f"export.precision: found {self.precision} and no partition in validation_data to compare "
        "it with float32 on, allowed: a partition, float32, or no comparison with "
        "export.check_precision: false"
      )
    if self.partition is None and len(names) > 1:
      raise inconsistent(
        f"export.partition: found none with precision {self.precision}, allowed: one of "
        f"{', '.join(names)}"
      )
    return self.partition or names[0]

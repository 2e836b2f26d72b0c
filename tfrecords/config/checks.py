"""`checks` of a data section: what `//tfrecords:validate` takes for an error or a warning."""

from typing import Annotated, Literal, Optional, get_args

import pydantic

from tfrecords.config.strict_model import StrictModel, inconsistent

Severity = Literal["error", "warning", "ignore"]
Kind = Literal[
  "unreadable",
  "no_tfrecord",
  "empty_file",
  "bad_checksum",
  "lost_bytes",
  "cut_short",
  "bad_compression",
  "compression_suffix",
  "unparsable",
  "wrong_dtype",
  "wrong_length",
  "missing_label",
  "bad_label",
  "label_rate",
  "missing_feature",
  "unexpected_feature",
  "non_finite",
  "duplicate_ids",
  "drift",
]
KINDS: tuple[str, ...] = get_args(Kind)
# What training reads without a word; all else ends a run or spoils it.
_WARNINGS = frozenset(
  {
    "compression_suffix",
    "missing_feature",
    "unexpected_feature",
    "non_finite",
    "duplicate_ids",
    "drift",
  }
)

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


class LabelRate(StrictModel):
  """Bounds of the share of positive labels among the records as they lie in the files."""

  min: Share = 0.0
  max: Share = 1.0

  @pydantic.model_validator(mode="after")
  def _check_order(self) -> "LabelRate":
    if self.min > self.max:
      raise inconsistent(f"min: found {self.min:g}, allowed: at most max, which is {self.max:g}")
    return self


class FeatureChecks(StrictModel):
  """What holds for one feature.

  Attributes:
    max_missing_share: of the records of a file; that of the section when absent.
    max_non_finite_share: of the feature's values in a file; that of the section when absent.
    column_names: a text file with the name of a column a line, for the report.
  """

  max_missing_share: Optional[Share] = None
  max_non_finite_share: Optional[Share] = None
  column_names: Optional[str] = None


class DriftChecks(StrictModel):
  """How far data may be from a baseline, besides what chance makes of so many records.

  Attributes:
    max_psi: population stability index of a column; by convention 0.1 is little, 0.25 much.
    max_mean_shift: of a column's signed log, in the baseline's standard deviations.
    max_share_change: of the share of records without a feature, and of a column's non-finite
      values.
    max_label_rate_change: of a label's share of positives, as a share of the baseline's.
    ignored_features: features, by their name inside the model or in the record, that are different
      each day as they should be, such as ids.
  """

  max_psi: pydantic.PositiveFloat = 0.25
  max_mean_shift: pydantic.PositiveFloat = 0.5
  max_share_change: Share = 0.05
  max_label_rate_change: pydantic.PositiveFloat = 0.5
  ignored_features: list[str] = pydantic.Field(
    default_factory=lambda: ["meta__user_id", "meta__tweet_id", "meta__author_id"]
  )


class DataChecks(StrictModel):
  """What records have to be like, beyond what their schema says. Training does not look at it.

  Attributes:
    label_rates: task -> bounds of its share of positives, over all files and, beyond what chance
      makes of its number of records, in each file.
    max_missing_share: of the records of a file, how many may lack a feature.
    max_non_finite_share: of a feature's values in a file, how many may be NaN or infinite.
    features: feature, by its name inside the model or in the record -> bounds of its own.
    allowed_features: globs of features that records may hold although no schema lists them.
    id_features: features that together say which record this is; `meta__user_id` and
      `meta__tweet_id` when absent. An empty list looks for no duplicates.
    max_duplicate_share: of all records, how many may have the ids of an earlier one.
    drift: how far from a baseline they may be.
    severity: kind of finding -> error, warning or ignore.
  """

  label_rates: dict[str, LabelRate] = pydantic.Field(default_factory=dict)
  max_missing_share: Share = 0.0
  max_non_finite_share: Share = 0.01
  features: dict[str, FeatureChecks] = pydantic.Field(default_factory=dict)
  allowed_features: list[str] = pydantic.Field(default_factory=list)
  id_features: Optional[list[str]] = None
  max_duplicate_share: Share = 0.0
  drift: DriftChecks = pydantic.Field(default_factory=DriftChecks)
  severity: dict[Kind, Severity] = pydantic.Field(default_factory=dict)

  def severity_of(self, kind: str, default: Optional[str] = None) -> str:
    """Returns "error", "warning" or "ignore" for a kind of finding."""
    usual = default or ("warning" if kind in _WARNINGS else "error")
    return self.severity.get(kind, usual)

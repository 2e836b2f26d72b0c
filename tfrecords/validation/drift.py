"""How far records have moved from a baseline, column by column, largest first."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tfrecords.config.checks import DriftChecks
from tfrecords.validation.baseline import Baseline, BaselineFeature
from tfrecords.validation.column_values import ColumnValues
from tfrecords.validation.file_report import LabelCounts
from tfrecords.validation.findings import Finding
from tfrecords.validation.quantile_bins import Chance, stability_index
from tfrecords.validation.subject import Subject, find_feature


@dataclass(frozen=True)
class ColumnDrift:
  """How one column has changed. NaN stands for what cannot be told.

  Attributes:
    feature: its name in the record.
    column: from 0.
    name: what the column is called; empty when nobody has said.
    stability_index: population stability index over the baseline's deciles.
    mean_shift: of the mean of the signed logs, in the baseline's standard deviations; infinite for
      a column that was constant.
    non_finite_change: of the share of non-finite values.
    times_bound: the largest of them in units of what is allowed.
  """

  feature: str
  column: int
  name: str
  stability_index: float
  mean_shift: float
  non_finite_change: float
  times_bound: float


@dataclass(frozen=True)
class ShareDrift:
  """How the share of records that lack a feature, or a label's share of positives, has changed.

  Attributes:
    kind: "missing" or "label".
    name: the feature's or the label's.
    before: the baseline's share.
    now: the new one.
    times_bound: the change in units of what is allowed.
  """

  kind: str
  name: str
  before: float
  now: float
  times_bound: float


@dataclass(frozen=True)
class Drift:
  """All that was compared.

  Attributes:
    path: the baseline's.
    columns: largest first.
    shares: largest first.
    not_compared: features and labels of the schema that the baseline lacks.
  """

  path: str
  columns: tuple[ColumnDrift, ...]
  shares: tuple[ShareDrift, ...]
  not_compared: tuple[str, ...]


def drift_of(
  subject: Subject,
  baseline: Baseline,
  values: ColumnValues,
  missing: Mapping[str, int],
  labels: Mapping[str, LabelCounts],
) -> Drift:
  """Compares records with a baseline.

  Args:
    subject: what was validated.
    baseline: of the same schema.
    values: of the new records, counted in the baseline's bins, with statistics.
    missing: feature -> records that lack it.
    labels: label -> its counts.

  Raises:
    ConfigError: a feature to be ignored does not exist.
  """
  checks = subject.checks.drift
  ignored = ignored_features(subject)
  compared = [name for name in values.statistics if name not in ignored]
  common = [name for name in compared if name in baseline.features]
  n_comparisons = sum(len(baseline.features[name].mean) for name in common)
  columns, shares = [], []
  for name in common:
    found = _columns(name, baseline.features[name], values, checks, n_comparisons)
    names = subject.column_names.get(name, ())
    for column, measures in enumerate(found):
      columns.append(ColumnDrift(name, column, names[column] if names else "", *measures))
    shares += _missing_change(name, baseline.features[name], values, missing, checks)
  for label, counts in labels.items():
    if label in baseline.labels and counts.valid and baseline.labels[label].valid:
      shares.append(_label_change(label, baseline.labels[label], counts, checks, len(labels)))
  lacking = [name for name in compared if name not in baseline.features]
  lacking += [label for label in labels if label not in baseline.labels]
  return Drift(
    baseline.path,
    tuple(sorted(columns, key=lambda found: (-found.times_bound, found.feature, found.column))),
    tuple(sorted(shares, key=lambda found: (-found.times_bound, found.name))),
    tuple(lacking),
  )


def ignored_features(subject: Subject) -> frozenset[str]:
  """Returns the features not to compare, by their names in the record.

  Raises:
    ConfigError: one that somebody named does not exist.
  """
  drift = subject.checks.drift
  by_name = {feature.name: name for name, feature in subject.features.items()}
  if "ignored_features" not in drift.model_fields_set:
    named = {by_name.get(name, name.replace("__", ".")) for name in drift.ignored_features}
    return frozenset({*named, *subject.id_features})
  where = f"{subject.key}.checks.drift.ignored_features"
  return frozenset(find_feature(name, subject.features, where) for name in drift.ignored_features)


def findings_of_drift(subject: Subject, drift: Drift) -> list[Finding]:
  """Returns a finding for each feature and label that is farther away than allowed."""
  severity = subject.checks.severity_of("drift")
  if severity == "ignore":
    return []
  by_feature: dict[str, list[ColumnDrift]] = {}
  for column in drift.columns:
    if column.times_bound > 1:
      by_feature.setdefault(column.feature, []).append(column)
  found = [
    Finding(
      severity,
      "drift",
      "",
      feature,
      f"{len(columns)} column(s), the farthest {columns[0].column}: {describe_column(columns[0])}",
      len(columns),
    )
    for feature, columns in by_feature.items()
  ]
  what = {"missing": "records that lack it", "label": "positives"}
  found += [
    Finding(
      severity,
      "drift",
      "",
      share.name,
      f"{what[share.kind]}: {share.before:.3%} before, {share.now:.3%} now",
    )
    for share in drift.shares
    if share.times_bound > 1
  ]
  if drift.not_compared:
    names = ", ".join(drift.not_compared)
    found.append(Finding(severity, "drift", "", "", f"the baseline lacks {names}"))
  return found


def describe_column(column: ColumnDrift) -> str:
  """Returns its measures in words."""
  return (
    f"stability index {column.stability_index:.3g}, mean {column.mean_shift:+.3g} std, non-finite "
    f"{column.non_finite_change:+.3%}"
  )


def _columns(
  name: str,
  before: BaselineFeature,
  values: ColumnValues,
  checks: DriftChecks,
  n_comparisons: int,
) -> Iterator[tuple[float, float, float, float]]:
  """Yields each column's measures and how many times its bound the largest is."""
  now = values.statistics[name]
  chance = Chance(before.count, now.count, n_comparisons)
  binned = Chance(before.sampled, now.count, n_comparisons)
  non_finite = now.share_of_non_finite
  for column, mean in enumerate(now.mean.tolist()):
    index = math.nan
    if before.edges and before.sampled:
      counts, n_edges = values.up_to[name][:, column], len(before.edges[column])
      index = stability_index(before.shares[column], before.sampled, counts, n_edges)
    shift = _shift(mean - before.mean[column], before.std[column])
    change = float(non_finite[column] - before.share_of_non_finite[column])
    share = (non_finite[column] + before.share_of_non_finite[column]) / 2
    n_bins = len(before.shares[column]) if before.shares else 2
    ratios = (
      index / max(checks.max_psi, binned.stability_index(n_bins)),
      abs(shift) / max(checks.max_mean_shift, chance.mean_shift()),
      abs(change) / max(checks.max_share_change, chance.share_change(share), 1e-12),
    )
    yield index, shift, change, max(ratio for ratio in ratios if not math.isnan(ratio))


def _shift(difference: float, deviation: float) -> float:
  if deviation > 0:
    return float(difference / deviation)
  # What rounding leaves of equal means is no change.
  return 0.0 if abs(difference) < 1e-9 else math.copysign(math.inf, difference)


def _missing_change(
  name: str,
  before: BaselineFeature,
  values: ColumnValues,
  missing: Mapping[str, int],
  checks: DriftChecks,
) -> Iterator[ShareDrift]:
  count = values.statistics[name].count
  if before.share_of_missing is None or not count:
    return
  now = missing.get(name, 0) / count
  chance = Chance(before.count, count, 100).share_change((now + before.share_of_missing) / 2)
  bound = max(checks.max_share_change, chance, 1e-12)
  ratio = abs(now - before.share_of_missing) / bound
  yield ShareDrift("missing", name, before.share_of_missing, now, ratio)


def _label_change(
  label: str, before: LabelCounts, now: LabelCounts, checks: DriftChecks, n_labels: int
) -> ShareDrift:
  share = (before.positives + now.positives) / (before.valid + now.valid)
  chance = Chance(before.valid, now.valid, n_labels).share_change(share)
  bound = max(checks.max_label_rate_change * before.rate, chance, 1e-12)
  return ShareDrift("label", label, before.rate, now.rate, abs(now.rate - before.rate) / bound)

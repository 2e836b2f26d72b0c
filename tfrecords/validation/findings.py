"""What the reports of the files come to: findings, each an error or a warning."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tfrecords.errors import WARNINGS_EXIT_CODE, DataError
from tfrecords.validation.duplicates import Duplicates
from tfrecords.validation.file_report import FileReport, LabelCounts, Place
from tfrecords.validation.subject import Subject

# A file's label rate is only held against the bounds as far as chance does not explain it: the
# normal distribution is beyond this in one of 16,000 cases.
_STANDARD_ERRORS = 4.0


@dataclass(frozen=True)
class Finding:
  """Something that is not as it should be.

  Attributes:
    severity: "error" or "warning".
    kind: see `tfrecords.config.checks`.
    path: the file; empty when it is about all of them.
    feature: its name in the record; empty when it is about none.
    message: what was found, and what is allowed.
    count: how many records, or places, it is about; 0 when it cannot be counted.
    places: some of them.
  """

  severity: str
  kind: str
  path: str
  feature: str
  message: str
  count: int = 0
  places: tuple[Place, ...] = ()


def exit_code(findings: Sequence[Finding]) -> int:
  """Returns 0 when there are none, 11 when all are warnings, else 3."""
  severities = {finding.severity for finding in findings}
  if "error" in severities:
    return DataError.exit_code
  return WARNINGS_EXIT_CODE if severities else 0


def findings_of(
  subject: Subject, reports: Sequence[FileReport], duplicates: Duplicates
) -> list[Finding]:
  """Judges reports by a section's checks; leaves out what is to be ignored.

  Args:
    subject: what was validated.
    reports: of its files.
    duplicates: among all their records.
  """
  found = [finding for report in reports for finding in _of_file(subject, report)]
  found += _of_label_rates(subject, total_labels(reports), "", 0.0)
  found += _of_duplicates(subject, reports, duplicates)
  return [finding for finding in found if finding.severity != "ignore"]


def total_labels(reports: Sequence[FileReport]) -> dict[str, LabelCounts]:
  """Returns the labels' values over all files."""
  totals: dict[str, LabelCounts] = {}
  for report in reports:
    for label, counts in report.labels.items():
      totals.setdefault(label, LabelCounts()).add(counts)
  return totals


def _of_file(subject: Subject, report: FileReport) -> Iterator[Finding]:
  checks, path = subject.checks, report.path
  for problem in report.problems.values():
    yield Finding(
      checks.severity_of(problem.kind),
      problem.kind,
      path,
      problem.feature,
      problem.detail,
      problem.count,
      tuple(problem.places),
    )
  for name in subject.features:
    max_missing, max_non_finite = subject.bounds(name)
    shares = (
      ("missing_feature", report.missing[name], report.n_readable, max_missing),
      ("non_finite", report.non_finite[name], report.n_values[name], max_non_finite),
    )
    for kind, count, total, bound in shares:
      if count > bound * total:
        message = f"{count / total:.3%}, allowed: at most {bound:.3%}"
        yield Finding(checks.severity_of(kind), kind, path, name, message, count)
  yield from _of_label_rates(subject, report.labels, path, _STANDARD_ERRORS)


def _of_label_rates(
  subject: Subject, labels: Mapping[str, LabelCounts], path: str, standard_errors: float
) -> Iterator[Finding]:
  for label, bounds in subject.checks.label_rates.items():
    counts = labels.get(label, LabelCounts())
    if not counts.valid:
      continue
    lowest, highest = _interval(counts.rate, counts.valid, standard_errors)
    if highest < bounds.min or lowest > bounds.max:
      message = (
        f"{counts.rate:.3%} of {counts.valid:,} are positive, allowed: {bounds.min:.3%} to "
        f"{bounds.max:.3%}"
      )
      severity = subject.checks.severity_of("label_rate")
      yield Finding(severity, "label_rate", path, label, message, counts.positives)


def _interval(rate: float, n: int, z: float) -> tuple[float, float]:
  """Returns Wilson's score interval of a share (1927)."""
  center = (rate + z * z / (2 * n)) / (1 + z * z / n)
  half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
  return center - half, center + half


def _of_duplicates(
  subject: Subject, reports: Sequence[FileReport], duplicates: Duplicates
) -> Iterator[Finding]:
  n_records = sum(report.n_readable for report in reports)
  if duplicates.count <= subject.checks.max_duplicate_share * n_records:
    return
  first = duplicates.pairs[0]
  names = ", ".join(subject.id_features)
  message = (
    f"{duplicates.count / n_records:.3%} of the records have the {names} of an earlier one, such "
    f"as {reports[first.file].path}: record {first.record}, those of "
    f"{reports[first.earlier_file].path}: record {first.earlier_record}"
  )
  severity = subject.checks.severity_of("duplicate_ids")
  yield Finding(severity, "duplicate_ids", "", "", message, duplicates.count)

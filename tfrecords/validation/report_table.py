"""What was found, as tables for the terminal."""

import math
import os
from collections.abc import Iterator, Sequence

import numpy as np
from tabulate import tabulate

from tfrecords.command_hints import command
from tfrecords.validation.drift import Drift
from tfrecords.validation.findings import Finding
from tfrecords.validation.run import Result
from tfrecords.validation.validator import Validation

_SHOWN_FILES = 30
_SHOWN_FINDINGS = 40
_SHOWN_COLUMNS = 15
_WORST_COLUMNS = 3

_FILE_COLUMNS = {
  "bad CRC": ("bad_checksum",),
  "lost, cut": ("lost_bytes", "cut_short", "bad_compression", "no_tfrecord", "unreadable"),
  "unparsable": ("unparsable",),
  "dtype, length": ("wrong_dtype", "wrong_length"),
  "labels": ("missing_label", "bad_label"),
  "unexpected": ("unexpected_feature",),
}


def describe(result: Result, flags: str) -> str:
  """Returns all that a person should see: tables a section, then what to do next.

  Args:
    result: what was found.
    flags: those with which other commands read the same configuration.
  """
  parts = [describe_section(validation) for validation in result.validations]
  parts += [f"{key}: the same files and checks as {twin}" for key, twin in result.same.items()]
  parts += [f"error: {key}: {why}" for key, why in result.unusable.items()]
  findings = [finding for found in result.validations for finding in found.findings]
  severities = [finding.severity for finding in findings] + ["error"] * len(result.unusable)
  verdict = (
    f"{severities.count('error')} error(s), {severities.count('warning')} warning(s): exit code "
    f"{result.exit_code}"
  )
  written = {"report": result.report_file, "statistics": result.statistics_file}
  parts.append("\n".join([verdict, *(f"{what}: {path}" for what, path in written.items() if path)]))
  parts.append("\n".join(_next(result, flags)))
  return "\n\n".join(parts)


def describe_section(validation: Validation) -> str:
  """Returns the tables of one section."""
  reports = validation.reports
  n_records, n_bytes = (sum(getattr(r, name) for r in reports) for name in ("n_records", "n_bytes"))
  head = (
    f"{validation.subject.key}: {len(reports):,} file(s), {n_bytes:,} bytes, {n_records:,} "
    f"record(s), {validation.n_readable:,} of them readable"
  )
  parts = [head, _files(validation), _labels(validation), _features(validation)]
  if not validation.subject.id_features:
    parts.append("duplicates: not looked for, since checks.id_features names no feature")
  if validation.drift is not None:
    parts.append(_drift(validation.drift))
  parts.append("\n".join(_findings(validation.findings)))
  return "\n\n".join(filter(None, parts))


def _files(validation: Validation) -> str:
  """Returns a row a file, those with errors first, with the columns in which there is anything."""
  worst = _verdicts(validation)
  ranks = {"error": 0, "warning": 1}
  shown = sorted(validation.reports, key=lambda report: ranks.get(worst.get(report.path), 2))
  shown = shown[:_SHOWN_FILES]
  folder = os.path.dirname(os.path.commonprefix([report.path for report in shown]))
  columns = [
    [report.path.removeprefix(f"{folder}/") for report in shown],
    [f"{report.n_records:,}" for report in shown],
    *([_count(report.count(*kinds)) for report in shown] for kinds in _FILE_COLUMNS.values()),
    [_count(sum(1 for count in report.missing.values() if count)) for report in shown],
    [_count(report.n_duplicates) for report in shown],
    [worst.get(report.path, "ok") for report in shown],
  ]
  headers = ["file", "records", *_FILE_COLUMNS, "missing", "duplicates", "is"]
  used = [place for place, column in enumerate(columns) if any(column)]
  rows = list(zip(*(columns[place] for place in used)))
  table = f"in {folder}\n{_table(rows, [headers[place] for place in used])}"
  others = len(validation.reports) - len(shown)
  if not others:
    return table
  with_findings = sum(report.path in worst for report in validation.reports)
  with_findings -= sum(report.path in worst for report in shown)
  return f"{table}\nand {others:,} other file(s), {with_findings:,} of them with findings"


def _verdicts(validation: Validation) -> dict[str, str]:
  """Returns the worst severity of the files that have findings, by path."""
  repeating = [report.path for report in validation.reports if report.n_duplicates]
  worst: dict[str, str] = {}
  for finding in reversed(validation.findings):  # Errors come first in it, and so last here.
    others = repeating if finding.kind == "duplicate_ids" else []
    worst.update(dict.fromkeys([finding.path] if finding.path else others, finding.severity))
  return worst


def _count(number: int) -> str:
  return f"{number:,}" if number else ""


def _labels(validation: Validation) -> str:
  bounds = validation.subject.checks.label_rates
  rows = []
  for label, counts in validation.labels.items():
    allowed = bounds.get(label)
    rows.append(
      [
        label,
        "" if math.isnan(counts.rate) else f"{counts.rate:.3%}",
        f"{allowed.min:.3%} to {allowed.max:.3%}" if allowed is not None else "",
        f"{counts.missing:,}" if counts.missing else "",
        f"{counts.others:,}" if counts.others else "",
      ]
    )
  return (
    _table(rows, ["label", "positive", "allowed", "missing", "neither 0 nor 1"]) if rows else ""
  )


def _features(validation: Validation) -> str:
  rows = []
  n_readable = max(validation.n_readable, 1)
  for name in validation.subject.features:
    missing = validation.missing[name]
    columns = validation.non_finite.get(name, np.zeros(1, np.int64))
    if missing or columns.any():
      shares = columns / n_readable
      worst = np.argsort(-shares, kind="stable")[:_WORST_COLUMNS]
      named = validation.subject.column_names.get(name)
      shown = ", ".join(
        f"{named[column] if named else column} {shares[column]:.3%}"
        for column in worst.tolist()
        if shares[column]
      )
      rows.append([name, f"{missing / n_readable:.3%}", f"{shares.mean():.3%}", shown])
  headers = ["feature", "missing", "non-finite", "worst columns"]
  return _table(rows, headers) if rows else ""


def _drift(drift: Drift) -> str:
  rows = [
    [
      column.name or f"{column.feature}[{column.column}]",
      _number(column.stability_index, ".4f"),
      _number(column.mean_shift, "+.3f"),
      f"{column.non_finite_change:+.3%}",
      _number(column.times_bound, ".2f"),
    ]
    for column in drift.columns[:_SHOWN_COLUMNS]
  ]
  headers = ["column", "stability index", "mean, in std", "non-finite", "times the bound"]
  table = _table(rows, headers)
  shares = [
    [f"{'positives of ' if share.kind == 'label' else 'without '}{share.name}"]
    + [f"{share.before:.3%}", f"{share.now:.3%}", _number(share.times_bound, ".2f")]
    for share in drift.shares[:_SHOWN_COLUMNS]
    if share.before or share.now
  ]
  head = f"drift from {drift.path}, the largest first; {len(drift.columns):,} columns compared"
  changes = _table(shares, ["records", "before", "now", "times the bound"]) if shares else ""
  return "\n".join(filter(None, [head, table, changes]))


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
  """Yields a line for each kind of finding and feature: how often, in how many files, the first."""
  groups: dict[tuple[str, str, str], list[Finding]] = {}
  for finding in findings:
    groups.setdefault((finding.severity, finding.kind, finding.feature), []).append(finding)
  for (severity, kind, feature), found in list(groups.items())[:_SHOWN_FINDINGS]:
    count = sum(finding.count for finding in found)
    files = len({finding.path for finding in found if finding.path})
    parts = [f"{severity}: {kind}", feature]
    if files > 1:
      parts.append(f"{count:,} in {files:,} files, first {found[0].path}")
    elif files:
      parts.append(f"{count:,} in {found[0].path}")
    yield ": ".join(filter(None, [*parts, _place(found[0]), found[0].message]))
  if len(groups) > _SHOWN_FINDINGS:
    yield f"and {len(groups) - _SHOWN_FINDINGS} more kinds, see --report_file"


def _place(finding: Finding) -> str:
  if not finding.places:
    return ""
  place = finding.places[0]
  parts = [f"record {place.record}"] if place.record >= 0 else []
  parts += [f"byte {place.offset}"] if place.offset >= 0 else []
  return ", ".join(parts)


def _next(result: Result, flags: str) -> Iterator[str]:
  kinds = {finding.kind for found in result.validations for finding in found.findings}
  if not kinds and not result.unusable:
    yield "next, try:"
    yield f"  {command('heavy_ranker', 'train')} {flags}".rstrip(" -")
    return
  yield "next:"
  if kinds & {"bad_checksum", "lost_bytes", "cut_short", "bad_compression", "no_tfrecord"}:
    yield "  write the damaged files again; until then SECTION.ignore_data_errors=true leaves the"
    yield "  damage out and trains on the rest"
  if kinds & {"wrong_dtype", "wrong_length", "unexpected_feature", "missing_feature"}:
    yield "  compare what writes the records with seg_dense_schema.schema_path"
  yield "  bounds and severities are in SECTION.checks, see docs/validation.md"
  if result.report_file is None:
    yield "  every place and every file: --report_file=report.json"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
  align = ("left", *["right"] * (len(headers) - 1))
  return tabulate(rows, headers, tablefmt="simple", colalign=align, disable_numparse=True)


def _number(value: float, spec: str) -> str:
  return "" if math.isnan(value) else format(value, spec)

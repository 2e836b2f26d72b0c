"""What was found, as JSON, for programs.

    {"exit_code": 3,
     "sections": [{"section": "train_data", "records": 2048, "readable": 2047,
                   "findings": [{"severity", "kind", "path", "feature", "message", "count",
                                 "places": [{"offset", "record"}]}],
                   "files": [{"path", "bytes", "compression", "records", "readable", "lost_bytes",
                              "duplicates", "missing", "non_finite", "labels"}],
                   "labels": {...}, "features": {...}, "duplicates": {...}, "drift": {...}}],
     "same": {SECTION: SECTION}, "unusable": {SECTION: WHY}}

Features have their names in the record. Offsets are in bytes of a file's content, decompressed;
null stands for what is unknown or not finite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tfrecords import files, strict_json
from tfrecords.validation.file_report import FileReport, LabelCounts, Place
from tfrecords.validation.validator import Validation


def write_report(
  path: str,
  validations: Sequence[Validation],
  same: Mapping[str, str],
  unusable: Mapping[str, str],
  exit_code: int,
) -> None:
  """Writes the report whole or not at all.

  Args:
    path: absolute; its folder exists.
    validations: what was found in each section.
    same: section -> an earlier one with the same files and rules.
    unusable: section -> why its files could not be listed.
    exit_code: the command's.

  Raises:
    StorageError: it cannot be written.
  """
  content = {
    "exit_code": exit_code,
    "sections": [_section(validation) for validation in validations],
    "same": dict(same),
    "unusable": dict(unusable),
  }
  files.write(path, strict_json.text_of(content), "Write elsewhere with --report_file=PATH")


def _section(validation: Validation) -> dict[str, Any]:
  reports = validation.reports
  return {
    "section": validation.subject.key,
    "records": sum(report.n_records for report in reports),
    "readable": validation.n_readable,
    "findings": [
      {**asdict(finding), "places": [_place(place) for place in finding.places]}
      for finding in validation.findings
    ],
    "files": [_file(report) for report in reports],
    "labels": {label: _label(counts) for label, counts in validation.labels.items()},
    "features": _features(validation),
    "duplicates": _duplicates(validation),
    "drift": None if validation.drift is None else asdict(validation.drift),
  }


def _place(place: Place) -> dict[str, Any]:
  return {
    "offset": place.offset if place.offset >= 0 else None,
    "record": place.record if place.record >= 0 else None,
  }


def _file(report: FileReport) -> dict[str, Any]:
  return {
    "path": report.path,
    "bytes": report.n_bytes,
    "compression": report.compression,
    "records": report.n_records,
    "readable": report.n_readable,
    "lost_bytes": report.lost_bytes,
    "duplicates": report.n_duplicates,
    "missing": {name: count for name, count in report.missing.items() if count},
    "non_finite": {name: count for name, count in report.non_finite.items() if count},
    "labels": {label: _label(counts) for label, counts in report.labels.items()},
  }


def _label(counts: LabelCounts) -> dict[str, Any]:
  return {**asdict(counts), "rate": counts.rate}


def _features(validation: Validation) -> dict[str, Any]:
  n_readable = max(validation.n_readable, 1)
  features = {}
  for name in validation.subject.features:
    features[name] = {"share_of_missing": validation.missing[name] / n_readable}
    if name in validation.non_finite:
      shares = validation.non_finite[name] / n_readable
      features[name]["share_of_non_finite"] = float(shares.mean())
      features[name]["non_finite_columns"] = {
        str(column): float(shares[column]) for column in shares.nonzero()[0].tolist()
      }
  return features


def _duplicates(validation: Validation) -> dict[str, Any]:
  reports, found = validation.reports, validation.duplicates
  return {
    "id_features": list(validation.subject.id_features),
    "count": found.count,
    "pairs": [
      {
        "path": reports[pair.file].path,
        "record": pair.record,
        "earlier_path": reports[pair.earlier_file].path,
        "earlier_record": pair.earlier_record,
      }
      for pair in found.pairs
    ],
  }

"""Validates sets of files, several files at a time."""

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.errors import DataError
from tfrecords.progress import progress_bar
from tfrecords.validation.baseline import (
  SAMPLED_RECORDS,
  Baseline,
  require_same_schema,
  write_baseline,
)
from tfrecords.validation.column_values import ColumnValues, has_statistics
from tfrecords.validation.drift import Drift, drift_of, findings_of_drift, ignored_features
from tfrecords.validation.duplicates import DuplicateFinder, Duplicates
from tfrecords.validation.file_check import CheckedFile, FileChecker
from tfrecords.validation.file_report import FileReport, LabelCounts
from tfrecords.validation.findings import Finding, findings_of, total_labels
from tfrecords.validation.row_sample import RowSample
from tfrecords.validation.subject import Subject

_FILES_AT_A_TIME = max(os.cpu_count() or 1, 2)


@dataclass(frozen=True)
class Validation:
  """What was found in one set of files.

  Attributes:
    subject: what was validated.
    reports: of each file, in order.
    findings: errors first.
    labels: label -> its values over all files.
    missing: feature's name in the record -> readable records that lack it.
    non_finite: float feature of fixed length -> NaN and infinite values a column, int64 [length].
    duplicates: among all records.
    drift: from the baseline; None when there was none to compare with.
  """

  subject: Subject
  reports: Sequence[FileReport]
  findings: Sequence[Finding]
  labels: dict[str, LabelCounts]
  missing: Counter
  non_finite: dict[str, np.ndarray] = field(default_factory=dict)
  duplicates: Duplicates = field(default_factory=Duplicates)
  drift: Optional[Drift] = None

  @property
  def n_readable(self) -> int:
    """Records that can be read, over all files."""
    return sum(report.n_readable for report in self.reports)


def validate_subject(
  subject: Subject, baseline: Optional[Baseline] = None, save_to: Optional[str] = None
) -> Validation:
  """Reads all files of a subject and judges them.

  Args:
    subject: what to validate.
    baseline: what to compare it with.
    save_to: absolute path to write a baseline to.

  Raises:
    ConfigError: the checks name a feature that is not there.
    DataError: the baseline is of another schema, or there is no record to make one of.
    StorageError: the new baseline, or temporary files, cannot be written.
  """
  edges = _edges(subject, baseline) if baseline is not None else None
  sample = RowSample(SAMPLED_RECORDS) if save_to is not None else None
  with_statistics = sample is not None or baseline is not None
  checker = FileChecker(subject, with_statistics, edges, sample)
  values = ColumnValues(subject.features, subject.labels, with_statistics, edges)
  reports, missing = [], Counter()
  with DuplicateFinder() as finder:
    for number, checked in enumerate(_checked(checker, subject)):
      reports.append(checked.report)
      missing.update(checked.report.missing)
      values.merge(checked.values)
      finder.add(number, checked.positions, checked.hashes)
    duplicates = finder.find()
  for number, count in duplicates.by_file.items():
    reports[number].n_duplicates = count
  labels = total_labels(reports)
  findings = findings_of(subject, reports, duplicates)
  drift = None
  if baseline is not None:
    drift = drift_of(subject, baseline, values, missing, labels)
    findings += findings_of_drift(subject, drift)
  if sample is not None:
    if not any(report.n_readable for report in reports):
      raise DataError(f"{subject.key}: no record can be read, and so no statistics saved")
    write_baseline(save_to, values.statistics, sample.columns(), missing, labels)
  findings.sort(key=lambda finding: finding.severity)
  return Validation(
    subject, reports, findings, labels, missing, values.non_finite, duplicates, drift
  )


def _edges(subject: Subject, baseline: Baseline) -> dict[str, np.ndarray]:
  """Returns the baseline's bins of what is compared; checks that it can be."""
  ignored = ignored_features(subject)
  names = [
    name
    for name, feature in subject.features.items()
    if has_statistics(feature, subject.labels) and name not in ignored
  ]
  lengths = {name: feature.length for name, feature in subject.features.items()}
  require_same_schema(baseline, lengths, names)
  return {name: edges for name, edges in baseline.edges().items() if name in names}


def _checked(checker: FileChecker, subject: Subject) -> Iterator[CheckedFile]:
  """Yields what is found in each file, in order, and shows how far it has come."""
  sizes = [_size(path) for path in subject.files]
  lock, stopped = threading.Lock(), threading.Event()
  with progress_bar(sum(sizes), f"validating {subject.key}", "B") as bar:

    def check(number: int) -> CheckedFile:
      shown = 0

      def show(share: float) -> None:
        nonlocal shown
        if stopped.is_set():
          raise CancelledError
        with lock:
          now = max(int(share * sizes[number]), shown)
          bar.update(now - shown)
          shown = now

      checked = checker.check(number, subject.files[number], show)
      show(1.0)
      return checked

    yield from _in_order(check, len(sizes), stopped)


def _in_order(
  check: Callable[[int], CheckedFile], n_files: int, stopped: threading.Event
) -> Iterator[CheckedFile]:
  """Runs a function for each number, some at a time; what waits to be taken is bounded, too.

  When it ends early, such as by Ctrl-C, an event tells those under way.
  """
  pending: deque = deque()
  with ThreadPoolExecutor(_FILES_AT_A_TIME) as threads:
    try:
      for number in range(n_files):
        pending.append(threads.submit(check, number))
        if len(pending) > 2 * _FILES_AT_A_TIME:
          yield pending.popleft().result()
      while pending:
        yield pending.popleft().result()
    finally:
      stopped.set()
      threads.shutdown(wait=False, cancel_futures=True)


def _size(path: str) -> int:
  try:
    return tf.io.gfile.stat(path).length
  except tf.errors.OpError:
    return 0

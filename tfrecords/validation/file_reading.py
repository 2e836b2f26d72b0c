"""What batch after batch of a file's records comes to."""

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.record_walk import Found, Status
from tfrecords.schema import VARIABLE_LENGTH
from tfrecords.validation.column_values import ColumnValues, has_statistics
from tfrecords.validation.example_decoder import Decoded
from tfrecords.validation.file_reader import Batch
from tfrecords.validation.file_report import FileReport, LabelCounts
from tfrecords.validation.row_sample import RowSample, mix
from tfrecords.validation.subject import Subject

# Kinds of findings.
DAMAGE = {
  Status.BAD_DATA: "bad_checksum",
  Status.LOST: "lost_bytes",
  Status.CUT_SHORT: "cut_short",
  Status.BAD_COMPRESSION: "bad_compression",
}
_SUFFIXES = {".gz": "GZIP", ".gzip": "GZIP", ".zlib": "ZLIB", ".zz": "ZLIB"}
_COMPRESSION_NAMES = {"": "plain", "GZIP": "gzip", "ZLIB": "zlib"}


@dataclass(frozen=True)
class CheckedFile:
  """What was found in a file.

  Attributes:
    report: for people.
    values: of its columns.
    positions, hashes: of the records that have all their ids: their places in the file, int64 [n],
      and a hash of the ids, uint64 [n].
  """

  report: FileReport
  values: ColumnValues
  positions: np.ndarray
  hashes: np.ndarray


class FileReading:
  """What is known of a file while it is read.

  Args:
    subject: schema, labels and bounds.
    number: the file's place among all.
    report: to be filled.
    values: to be filled.
    sample: gets rows, if there is one.
  """

  def __init__(
    self,
    subject: Subject,
    number: int,
    report: FileReport,
    values: ColumnValues,
    sample: Optional[RowSample],
  ):
    self._subject, self._number, self._sample = subject, number, sample
    self.report, self._values = report, values
    self._ids: list[tuple[np.ndarray, np.ndarray]] = []
    # When a file is read again, its first rows have been offered to the sample already.
    self._n_sampled = 0

  def start_again(self, values: ColumnValues) -> None:
    """Forgets all but the file's size; what was offered to the sample stays there."""
    report = self.report
    self.report = FileReport(report.path, report.n_bytes, report.compression)
    self._values, self._ids = values, []

  def result(self) -> CheckedFile:
    """Returns all of it."""
    empty = (np.empty(0, np.int64), np.empty(0, np.uint64))
    positions, hashes = (np.concatenate(parts) for parts in zip(empty, *self._ids))
    return CheckedFile(self.report, self._values, positions, hashes)

  def add_damage(self, position: int, found: Found) -> None:
    """Takes note of damage, given how many records come before it."""
    record = position if found.is_record else -1
    self.report.add_problem(
      DAMAGE[found.status], detail=found.reason, offset=found.offset, record=record
    )
    self.report.n_records += found.is_record
    if not found.is_record:
      self.report.lost_bytes += found.length

  def check_as_a_whole(self) -> None:
    """Looks at what only the end of the file tells."""
    report = self.report
    expected = _SUFFIXES.get(os.path.splitext(report.path)[1].lower())
    if not report.n_records and report.count("lost_bytes", "cut_short"):
      report.problems.clear()
      detail = "no record can be found in it: another kind of file, or damaged throughout"
      report.add_problem("no_tfrecord", detail=detail, offset=0)
    elif not report.n_records and not report.problems:
      report.add_problem("empty_file", detail="holds no record")
    elif report.n_records and expected not in (None, report.compression):
      found = _COMPRESSION_NAMES[report.compression]
      detail = f"holds {found} content, its name says {_COMPRESSION_NAMES[expected]}"
      report.add_problem("compression_suffix", detail=detail)
    for name, counts in self._values.non_finite.items():
      report.n_values[name] = report.n_readable * len(counts)
      report.non_finite[name] = int(counts.sum())

  def add(self, batch: Batch, decoded: Decoded) -> None:
    """Takes in a batch."""
    report = self.report
    report.n_records += len(batch.positions)
    report.n_readable += len(decoded.rows)
    for row, mistake in decoded.mistakes:
      self._add_problem(mistake.kind, mistake.feature, mistake.detail, batch, row)
    for row, name in decoded.unexpected:
      if not self._is_allowed(name):
        self._add_problem("unexpected_feature", name, "is not in the schema", batch, row)
    for name, absent in decoded.absent.items():
      if name not in self._subject.labels:
        report.missing[name] += int(absent.sum())
    self._count_values(decoded)
    self._check_labels(batch, decoded)
    self._add_ids(batch, decoded)
    if self._sample is not None:
      self._add_to_sample(batch.positions[decoded.rows], decoded)

  def _add_problem(self, kind: str, feature: str, detail: str, batch: Batch, row: int) -> None:
    self.report.add_problem(kind, feature, detail, batch.offsets[row], batch.positions[row])

  def _is_allowed(self, name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in self._subject.checks.allowed_features)

  def _count_values(self, decoded: Decoded) -> None:
    self._values.add(decoded.values)
    for name, feature in self._subject.features.items():
      if feature.dtype == "float_list" and feature.length == VARIABLE_LENGTH:
        values = decoded.values[name]
        self.report.n_values[name] += values.size
        self.report.non_finite[name] += values.size - int(np.count_nonzero(np.isfinite(values)))

  def _check_labels(self, batch: Batch, decoded: Decoded) -> None:
    for label in self._subject.labels:
      values = decoded.values[label][:, 0]
      absent = decoded.absent.get(label)
      n_absent = 0 if absent is None else int(absent.sum())
      positives, zeros = np.count_nonzero(values == 1), np.count_nonzero(values == 0)
      if n_absent and not self._subject.may_lack_labels:
        zeros -= n_absent
        for row in decoded.rows[absent]:
          self._add_problem("missing_label", label, "is missing", batch, row)
      others = len(values) - np.count_nonzero(values == 1) - np.count_nonzero(values == 0)
      if others:
        for place in np.flatnonzero((values != 0) & (values != 1)):
          detail = f"found {values[place]}, allowed: 0 or 1"
          self._add_problem("bad_label", label, detail, batch, decoded.rows[place])
      counts = LabelCounts(int(zeros), int(positives), int(others), n_absent)
      self.report.labels.setdefault(label, LabelCounts()).add(counts)

  def _add_ids(self, batch: Batch, decoded: Decoded) -> None:
    names = self._subject.id_features
    if not names or not len(decoded.rows):
      return
    has_all = np.ones(len(decoded.rows), bool)
    hashes = np.zeros(len(decoded.rows), np.uint64)
    for name in names:
      has_all &= ~decoded.absent.get(name, np.zeros(len(decoded.rows), bool))
      hashes = mix(hashes ^ _as_numbers(decoded.values[name][:, 0]))
    self._ids.append((batch.positions[decoded.rows][has_all], hashes[has_all]))

  def _add_to_sample(self, positions: np.ndarray, decoded: Decoded) -> None:
    new = positions >= self._n_sampled
    if not new.any():
      return
    columns = {
      name: decoded.values[name][new]
      for name, feature in self._subject.features.items()
      if has_statistics(feature, self._subject.labels)
    }
    self._sample.add(self._number, positions[new], columns)
    self._n_sampled = int(positions[-1]) + 1


def _as_numbers(ids: np.ndarray) -> np.ndarray:
  """Returns uint64 of integers or strings; of strings it is a hash."""
  if ids.dtype == object:
    ids = tf.strings.to_hash_bucket_fast(tf.constant(ids, tf.string), 2**63 - 1).numpy()
  return ids.view(np.uint64) if ids.flags.c_contiguous else ids.astype(np.uint64)

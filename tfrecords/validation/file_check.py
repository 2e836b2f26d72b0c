"""One file compared with its schema, from its first byte to its last."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.errors import reason
from tfrecords.record_walk import Found, Status
from tfrecords.schema import VARIABLE_LENGTH
from tfrecords.validation.column_values import ColumnValues, has_statistics
from tfrecords.validation.example_decoder import Decoded, ExampleDecoder
from tfrecords.validation.file_reader import (
  Batch,
  DamagedError,
  guess_compression,
  read_carefully,
  read_quickly,
)
from tfrecords.validation.file_report import FileReport, LabelCounts
from tfrecords.validation.row_sample import RowSample, mix
from tfrecords.validation.subject import Subject

_DAMAGE = {
  Status.BAD_DATA: "bad_checksum",
  Status.LOST: "lost_bytes",
  Status.CUT_SHORT: "cut_short",
  Status.BAD_COMPRESSION: "bad_compression",
}
_SUFFIXES = {".gz": "GZIP", ".gzip": "GZIP", ".zlib": "ZLIB", ".zz": "ZLIB"}
_COMPRESSION_NAMES = {"": "plain", "GZIP": "gzip", "ZLIB": "zlib"}

# Told how much of the file, in [0, 1], is read; 0 when that is not known. May raise to end reading.
Progress = Callable[[float], None]


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


class FileChecker:
  """Compares files with a schema; safe to use from several threads, a file each.

  Args:
    subject: schema, labels and bounds.
    with_statistics: whether to take statistics of the columns.
    edges: feature's name in the record -> edges of the bins to count its values in.
    sample: gets rows of the features that have statistics.
  """

  def __init__(
    self,
    subject: Subject,
    with_statistics: bool = False,
    edges: Optional[Mapping[str, np.ndarray]] = None,
    sample: Optional[RowSample] = None,
  ):
    self._subject = subject
    self._decoder = ExampleDecoder(subject.features)
    self._with_statistics, self._edges, self._sample = with_statistics, edges, sample

  def check(self, number: int, path: str, progress: Progress = lambda _: None) -> CheckedFile:
    """Reads a file to its end, whatever is wrong with it.

    Args:
      number: the file's place among all.
      path: where it lies.
      progress: is told how far reading has come.
    """
    reading = self._new_reading(number, path)
    try:
      self._read(reading, progress)
    except (tf.errors.OpError, OSError) as error:
      reading.report.add_problem("unreadable", detail=reason(error))
    return reading.result()

  def _new_reading(self, number: int, path: str) -> "_Reading":
    return _Reading(self._subject, number, FileReport(path), self._new_values(), self._sample)

  def _read(self, reading: "_Reading", progress: Progress) -> None:
    report = reading.report
    report.n_bytes = tf.io.gfile.stat(report.path).length
    if tf.io.gfile.isdir(report.path):
      report.add_problem("unreadable", detail="is a folder")
      return
    if not report.n_bytes:
      report.add_problem("empty_file", detail="0 bytes")
      return
    report.compression = guess_compression(report.path)
    try:
      for batch in read_quickly(report.path, report.compression, report.n_bytes):
        reading.add(batch, self._decoder.decode(batch.serialized))
        progress(batch.share_read)
    except DamagedError as error:
      self._read_again(reading, str(error), progress)
    reading.check_as_a_whole()

  def _read_again(self, reading: "_Reading", why: str, progress: Progress) -> None:
    """Reads from the beginning, around the damage."""
    reading.start_again(self._new_values())
    report = reading.report
    for found in read_carefully(report.path, report.compression):
      progress(0.0)
      if isinstance(found, Batch):
        reading.add(found, self._decoder.decode(found.serialized))
      else:
        reading.add_damage(*found)
    if why and report.n_records and not report.count(*_DAMAGE.values()):
      report.add_problem("unreadable", detail=f"TensorFlow cannot read it: {why}")

  def _new_values(self) -> ColumnValues:
    subject = self._subject
    return ColumnValues(subject.features, subject.labels, self._with_statistics, self._edges)


class _Reading:
  """What is known of a file while it is read."""

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
    report = self.report
    self.report = FileReport(report.path, report.n_bytes, report.compression)
    self._values, self._ids = values, []

  def result(self) -> CheckedFile:
    empty = (np.empty(0, np.int64), np.empty(0, np.uint64))
    positions, hashes = (np.concatenate(parts) for parts in zip(empty, *self._ids))
    return CheckedFile(self.report, self._values, positions, hashes)

  def add_damage(self, position: int, found: Found) -> None:
    record = position if found.is_record else -1
    self.report.add_problem(
      _DAMAGE[found.status], detail=found.reason, offset=found.offset, record=record
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

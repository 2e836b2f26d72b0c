"""One file compared with its schema, from its first byte to its last."""

from collections.abc import Callable, Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.errors import reason
from tfrecords.validation.column_values import ColumnValues
from tfrecords.validation.example_decoder import ExampleDecoder
from tfrecords.validation.file_reader import (
  Batch,
  DamagedError,
  guess_compression,
  read_carefully,
  read_quickly,
)
from tfrecords.validation.file_reading import DAMAGE, CheckedFile, FileReading
from tfrecords.validation.file_report import FileReport
from tfrecords.validation.row_sample import RowSample
from tfrecords.validation.subject import Subject

# Told how much of the file, in [0, 1], is read; 0 when that is not known. May raise to end reading.
Progress = Callable[[float], None]


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

  def _new_reading(self, number: int, path: str) -> FileReading:
    return FileReading(self._subject, number, FileReport(path), self._new_values(), self._sample)

  def _read(self, reading: FileReading, progress: Progress) -> None:
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

  def _read_again(self, reading: FileReading, why: str, progress: Progress) -> None:
    """Reads from the beginning, around the damage."""
    reading.start_again(self._new_values())
    report = reading.report
    for found in read_carefully(report.path, report.compression):
      progress(0.0)
      if isinstance(found, Batch):
        reading.add(found, self._decoder.decode(found.serialized))
      else:
        reading.add_damage(*found)
    if why and report.n_records and not report.count(*DAMAGE.values()):
      report.add_problem("unreadable", detail=f"TensorFlow cannot read it: {why}")

  def _new_values(self) -> ColumnValues:
    subject = self._subject
    return ColumnValues(subject.features, subject.labels, self._with_statistics, self._edges)

"""All that `//tfrecords:validate` does: sections or files in, reports and a baseline out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Optional

import tensorflow as tf

from tfrecords import paths
from tfrecords.config import yaml_file
from tfrecords.config.checks import DataChecks
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.folders import make_writable
from tfrecords.validation.baseline import read_baseline
from tfrecords.validation.findings import exit_code
from tfrecords.validation.report_json import write_report
from tfrecords.validation.subject import Subject, subject_of_files, subject_of_section
from tfrecords.validation.validator import Validation, validate_subject


@dataclass(frozen=True)
class Options:
  """What a user asks for.

  Attributes:
    files: files, folders and globs instead of those of the section.
    schema: a schema file to take instead of any configuration.
    labels: with `schema`, the features that have to be 0 or 1.
    checks: with `schema`, a YAML file that holds what `checks` of a data section does.
    report_file: where to write what was found, as JSON.
    save_statistics: where to write a baseline.
    compare_statistics: a baseline to compare with.
    overwrite: replaces a baseline that is there.
  """

  files: Sequence[str] = ()
  schema: Optional[str] = None
  labels: Sequence[str] = ()
  checks: Optional[str] = None
  report_file: Optional[str] = None
  save_statistics: Optional[str] = None
  compare_statistics: Optional[str] = None
  overwrite: bool = False


@dataclass(frozen=True)
class Result:
  """What came of it.

  Attributes:
    validations: of each section.
    same: section -> an earlier one that reads the same files by the same rules.
    unusable: section -> why its files could not even be listed.
    report_file, statistics_file: where they were written, or None.
  """

  validations: Sequence[Validation]
  same: Mapping[str, str] = field(default_factory=dict)
  unusable: Mapping[str, str] = field(default_factory=dict)
  report_file: Optional[str] = None
  statistics_file: Optional[str] = None

  @property
  def exit_code(self) -> int:
    """0 clean, 11 warnings only, 3 errors."""
    if self.unusable:
      return DataError.exit_code
    return exit_code([finding for found in self.validations for finding in found.findings])


def validate_records(sections: Mapping[str, DataConfig], options: Options) -> Result:
  """Validates data sections, or files.

  Args:
    sections: by their paths in the configuration; none with `options.schema`.
    options: see there.

  Raises:
    ConfigError: options do not fit together, or the configuration does not fit the schema.
    DataError: there are no files, or a schema or baseline cannot be used.
    StorageError: something cannot be written.
  """
  _check_options(sections, options)
  baseline = None
  if options.compare_statistics is not None:
    baseline = read_baseline(options.compare_statistics)
  subjects, same, unusable = _subjects(sections, options)
  report_file = _target(options.report_file, "--report_file", subjects, may_replace=True)
  statistics_file = _target(
    options.save_statistics, "--save_statistics", subjects, options.overwrite
  )
  validations = [validate_subject(subject, baseline, statistics_file) for subject in subjects]
  result = Result(validations, same, unusable, report_file, statistics_file)
  if report_file is not None:
    write_report(report_file, validations, same, unusable, result.exit_code)
  return result


def _check_options(sections: Mapping[str, DataConfig], options: Options) -> None:
  if options.schema is not None and not options.files:
    raise ConfigError("--schema: found without --files, allowed: with the files it is to fit")
  for flag in ("labels", "checks"):
    if getattr(options, flag) and options.schema is None:
      raise ConfigError(
        f"--{flag}: found without --schema, allowed: with it; a data section has its own"
      )
  if len(sections) > 1 and (options.save_statistics is not None or options.files):
    flag = "--files" if options.files else "--save_statistics"
    raise ConfigError(
      f"{flag}: found with {len(sections)} data sections, allowed: with one. Choose it with "
      f"--section: {', '.join(sections)}"
    )


def _subjects(
  sections: Mapping[str, DataConfig], options: Options
) -> tuple[list[Subject], dict[str, str], dict[str, str]]:
  if options.schema is not None:
    checks = _read_checks(options.checks) if options.checks is not None else DataChecks()
    return [subject_of_files(options.files, options.schema, options.labels, checks)], {}, {}
  subjects: list[Subject] = []
  same, unusable = {}, {}
  for key, config in sections.items():
    try:
      subject = subject_of_section(config, key, options.files)
    except DataError as error:
      unusable[key] = str(error)
      if len(unusable) == len(sections):
        raise
      continue
    twin = next((other for other in subjects if replace(subject, key=other.key) == other), None)
    if twin is not None:
      same[key] = twin.key
    else:
      subjects.append(subject)
  return subjects, same, unusable


def _read_checks(path: str) -> DataChecks:
  resolved = paths.resolve(path, "--checks")
  content, origin = yaml_file.read_with_origin(resolved)
  return validate(DataChecks, content, origin)


def _target(
  path: Optional[str], flag: str, subjects: Sequence[Subject], may_replace: bool
) -> Optional[str]:
  """Returns where to write, absolute, after checking that it can be."""
  if path is None:
    return None
  resolved = paths.resolve(path, flag)
  if any(resolved in subject.files for subject in subjects):
    raise ConfigError(f"{flag}: {resolved} is one of the files of records, allowed: another name")
  if tf.io.gfile.isdir(resolved):
    raise StorageError(f"{flag}: {resolved} is a folder, allowed: a file")
  if not may_replace and tf.io.gfile.exists(resolved):
    raise StorageError(
      f"{resolved}: already there. Replace it with --overwrite, or write elsewhere with {flag}=PATH"
    )
  make_writable(os.path.dirname(resolved), flag)
  return resolved

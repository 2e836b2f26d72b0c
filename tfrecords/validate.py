"""Command: what is wrong with records, and how far they are from a baseline."""

import sys

from absl import flags

from tfrecords import command_line
from tfrecords.config.data import load_data_sections

flags.adopt_module_key_flags(command_line)
_SECTION = flags.DEFINE_string(
  "section",
  None,
  "Only this data section: train_data, or a partition of validation_data (default: all).",
)
_FILES = flags.DEFINE_multi_string(
  "files", [], "A file, folder or glob to look at instead of the section's; may be repeated."
)
_SCHEMA = flags.DEFINE_string(
  "schema", None, "A schema file; then no configuration is read, and --files says what to look at."
)
_LABELS = flags.DEFINE_list("labels", [], "With --schema: the features that have to be 0 or 1.")
_CHECKS = flags.DEFINE_string(
  "checks", None, "With --schema: a YAML file with bounds and severities, as in train_data.checks."
)
_REPORT_FILE = flags.DEFINE_string(
  "report_file", None, "Also write what was found to this file, as JSON."
)
_SAVE_STATISTICS = flags.DEFINE_string(
  "save_statistics", None, "Write statistics of the records, for later ones to be compared with."
)
_COMPARE_STATISTICS = flags.DEFINE_string(
  "compare_statistics", None, "Statistics to compare the records with."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace --save_statistics if it is there.")


def _main() -> None:
  sections = {}
  if _SCHEMA.value is None:
    path = command_line.config_path()
    section = _SECTION.value or ("train_data" if _FILES.value else None)
    sections = load_data_sections(path, command_line.overrides(), section)
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from tfrecords.validation.report_table import describe
  from tfrecords.validation.run import Options, validate_records

  options = Options(
    files=_FILES.value,
    schema=_SCHEMA.value,
    labels=_LABELS.value,
    checks=_CHECKS.value,
    report_file=_REPORT_FILE.value,
    save_statistics=_SAVE_STATISTICS.value,
    compare_statistics=_COMPARE_STATISTICS.value,
    overwrite=_OVERWRITE.value,
  )
  result = validate_records(sections, options)
  print(describe(result, command_line.repeated_flags({})))
  sys.exit(result.exit_code)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Reads records against their schema: damage, missing and bad values, label rates, duplicates.

Ends with 0 when all is well, 11 when there are only warnings, 3 when there are errors.

  ./bazelw run //tfrecords:validate
  ./bazelw run //tfrecords:validate -- --section=train_data --save_statistics=monday.json
  ./bazelw run //tfrecords:validate -- --section=train_data --compare_statistics=monday.json
  ./bazelw run //tfrecords:validate -- --schema=schema.json --files=folder --labels=is_liked
""",
  )

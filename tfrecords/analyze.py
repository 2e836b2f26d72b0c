"""Command: statistics of the dense features, for `z_score_log_config`."""

from absl import flags

from tfrecords import command_line
from tfrecords.config.data import load_data_config

flags.adopt_module_key_flags(command_line)
_PARTITION = flags.DEFINE_string(
  "partition", None, "Read this partition of validation_data instead of train_data."
)
_OUTPUT_PATH = flags.DEFINE_string(
  "output_path",
  None,
  "The statistics file (default: beside the folder of the records, FOLDER.statistics.json).",
)
_FORMAT = flags.DEFINE_enum(
  "format",
  "json",
  ["json", "rows"],
  "json: everything that is known. rows: mean and std, a JSON object a column, as a warehouse "
  "exports a table (use_bq_stats).",
)
_MAX_EXAMPLES = flags.DEFINE_integer(
  "max_examples", None, "Read only so many examples, from the first file on (default: all)."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the statistics file if it is there.")


def _main() -> None:
  partition = _PARTITION.value or ""
  config = load_data_config(command_line.config_path(), command_line.overrides(), partition)
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from tfrecords.analysis import analyze
  from tfrecords.analysis_report import describe

  analysis = analyze(
    config,
    output_path=_OUTPUT_PATH.value,
    file_format=_FORMAT.value,
    max_examples=_MAX_EXAMPLES.value,
    overwrite=_OVERWRITE.value,
    key=f"validation_data.{partition}" if partition else "train_data",
  )
  print(describe(analysis, command_line.repeated_flags({})))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Reads the records once and writes mean and deviation of the logarithm of every dense column.

model.featurization_config.z_score_log_config standardizes with them.

  ./bazelw run //tfrecords:analyze
  ./bazelw run //tfrecords:analyze -- --config_path=configs/demo.yaml --max_examples=100000
""",
  )

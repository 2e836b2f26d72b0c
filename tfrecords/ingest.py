"""Command: a table becomes records."""

from absl import flags

from tfrecords import command_line, paths
from tfrecords.errors import ConfigError
from tfrecords.ingestion.mapping import load_mapping

flags.adopt_module_key_flags(command_line)
_MAPPING = flags.DEFINE_string(
  "mapping", None, "YAML file that says how the table becomes records, see docs/ingestion.md."
)
_INPUT = flags.DEFINE_multi_string(
  "input", [], "Glob of the table's files (quote it); may be repeated. Default: the mapping's."
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write; it appears when all is done.")
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "Replace a folder that another mapping or other files gave."
)
_RUNNER = flags.DEFINE_string(
  "runner",
  "local",
  "Where it runs: local, or a runner of Apache Beam such as FlinkRunner, SparkRunner or "
  "DataflowRunner.",
)
_RUNNER_OPTION = flags.DEFINE_multi_string(
  "runner_option",
  [],
  "An option of that runner, name=value, such as flink_master=host:8081; may be repeated.",
)
_WORKERS = flags.DEFINE_integer(
  "workers",
  None,
  "Processes of the local runner; 1 stays in this one (default: one a processor for large tables).",
)


def _main() -> None:
  if not command_line.is_default_config():
    raise ConfigError("--config_path: found one, allowed: --mapping=PATH, to which --set applies")
  for name, value in (("mapping", _MAPPING.value), ("output", _OUTPUT.value)):
    if value is None:
      raise ConfigError(f"--{name}: found none, allowed: --{name}=PATH (see --help)")
  mapping = load_mapping(paths.resolve(_MAPPING.value, "--mapping"), command_line.overrides())
  # After the mapping is checked: a mistake in it shows before Beam and TensorFlow are loaded.
  from tfrecords.ingestion.ingest_table import ingest
  from tfrecords.ingestion.pipeline import Runner
  from tfrecords.ingestion.report import describe

  runner = Runner(_RUNNER.value, _RUNNER_OPTION.value, _WORKERS.value)
  print(describe(ingest(mapping, _INPUT.value, _OUTPUT.value, runner, _OVERWRITE.value)))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Turns CSV, Parquet or JSON lines into sharded TFRecords by a mapping.

Writes the schema, a list of the features with statistics, and a configuration that trains.
Interrupted, the same command goes on where it stopped.

  ./bazelw run //tfrecords:ingest -- --mapping=configs/mappings/kuairand.yaml \\
      --input='kuairand/*.parquet' --output=records
""",
  )

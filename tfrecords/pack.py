"""Command: writes a data section's records packed."""

import time

from absl import flags

from tfrecords import command_line
from tfrecords.config.data import load_data_config
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_PARTITION_PREFIX = "validation_data."
_SECTION = flags.DEFINE_string(
  "section", "train_data", "Which records to pack: train_data or validation_data.NAME."
)
_OUTPUT_DIR = flags.DEFINE_string(
  "output_dir", None, "A new or empty folder, or one in which packing the same was interrupted."
)
_NUM_SHARDS = flags.DEFINE_integer(
  "num_shards",
  None,
  "Files to write, at most as many as are read (default: one for each, which keeps the order in "
  "which training reads the examples).",
)
_FEATURE_DTYPE = flags.DEFINE_enum(
  "feature_dtype", "float32", ["float32", "bfloat16"], "How float features are stored."
)
_COMPRESSION = flags.DEFINE_enum(
  "compression",
  "fast",
  ["none", "fast", "small"],
  "fast: small and fast to read; small: a little smaller; none: as wide as in memory, a little "
  "faster.",
)
_FEATURES = flags.DEFINE_list(
  "features", None, "Features to pack, by their names inside the model (default: all)."
)
_PROBABILITY_PREFIX = flags.DEFINE_string(
  "probability_prefix",
  None,
  "Also packs the probabilities recorded as PREFIX + TASK, for evaluation.baselines.",
)
_EXAMPLES_PER_RECORD = flags.DEFINE_integer("examples_per_record", 400, "Examples a record.")


def _main() -> None:
  section = _SECTION.value
  if section != "train_data" and not section.startswith(_PARTITION_PREFIX):
    raise ConfigError(f"--section: found {section!r}, allowed: train_data, validation_data.NAME")
  if _OUTPUT_DIR.value is None:
    raise ConfigError("--output_dir: found nothing, allowed: the folder to write")
  partition = section[len(_PARTITION_PREFIX) :] if section != "train_data" else ""
  config = load_data_config(command_line.config_path(), command_line.overrides(), partition)
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from tfrecords.packed.packer import Options, pack
  from tfrecords.packed.report import describe, overrides_to_read

  options = Options(
    num_shards=_NUM_SHARDS.value,
    feature_dtype=_FEATURE_DTYPE.value,
    compression=_COMPRESSION.value,
    features=_FEATURES.value,
    probability_prefix=_PROBABILITY_PREFIX.value,
    examples_per_record=_EXAMPLES_PER_RECORD.value,
  )
  started = time.monotonic()
  packed = pack(config, _OUTPUT_DIR.value, options, section)
  flags_to_read = command_line.repeated_flags(overrides_to_read(packed, config, section))
  print(describe(packed, time.monotonic() - started, flags_to_read))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Writes what a model reads of its records, preprocessed and dense: much faster to read.

docs/packed_records.md describes the files, and how anybody can read them.

  ./bazelw run //tfrecords:pack -- --output_dir=/data/packed --feature_dtype=bfloat16
  ./bazelw run //tfrecords:pack -- --section=validation_data.validation --output_dir=/data/packed_v
""",
  )

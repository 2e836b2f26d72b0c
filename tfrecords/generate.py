"""Command: writes random or planted records."""

from absl import flags

from tfrecords import command_line
from tfrecords.config.data import load_data_config

flags.adopt_module_key_flags(command_line)
_N_EXAMPLES = flags.DEFINE_integer("n_examples", 2048, "Records in all.")
_NUM_SHARDS = flags.DEFINE_integer("num_shards", 4, "Files to spread them over.")
_KIND = flags.DEFINE_string(
  "kind",
  "random",
  "random: any values, labels are coin flips. planted: labels drawn from a known teacher, with "
  "realistic rates, so that a model has something to learn.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the records.", lower_bound=0)
_TEACHER_SEED = flags.DEFINE_integer(
  "teacher_seed", 0, "Seed of the teacher; all data of one teacher share it.", lower_bound=0
)
_WRITE_PROBABILITIES = flags.DEFINE_bool(
  "write_probabilities",
  False,
  "With planted: adds each label's true probability as planted.probability.TASK.",
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "A folder, or a pattern with one * (default: where the inputs of the data are)."
)
_PARTITION = flags.DEFINE_string(
  "partition", "", "Write for this partition of validation_data (default: for train_data)."
)
_COMPRESSION = flags.DEFINE_string(
  "compression", None, "gzip or none (default: gzip where the pattern ends in .gz)."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace files that are there already.")


def _main() -> None:
  partition = _PARTITION.value
  config = load_data_config(command_line.config_path(), command_line.overrides(), partition)
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from tfrecords.generation_report import describe
  from tfrecords.generator import generate

  generated = generate(
    config,
    n_examples=_N_EXAMPLES.value,
    num_shards=_NUM_SHARDS.value,
    kind=_KIND.value,
    seed=_SEED.value,
    teacher_seed=_TEACHER_SEED.value,
    write_probabilities=_WRITE_PROBABILITIES.value,
    output=_OUTPUT.value,
    compression=_COMPRESSION.value,
    overwrite=_OVERWRITE.value,
    key=f"validation_data.{partition}" if partition else "train_data",
  )
  print(describe(generated, command_line.config_path()))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Writes random or planted records in shards, where the configuration looks for them.

The same flags give the same bytes.

  ./bazelw run //tfrecords:generate
  ./bazelw run //tfrecords:generate -- --config_path=configs/demo.yaml --kind=planted
""",
  )
